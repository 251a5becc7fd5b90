"""Where a user sets a variable: every place wins over what the project ships, with and without its ansible.cfg."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

PROJECT = Path(__file__).resolve().parents[2]
ROLES = PROJECT / "roles"
JOBS = "prometheus_scrape_configs"
SERVICES = ("prometheus", "alertmanager", "grafana")
PARTS = dict.fromkeys((*SERVICES, "node_exporter"), "validate")
IMPORTED = {"emr_node": "address", "tls": "read", "backup": "uninstall", **PARTS}


@cache
def public() -> dict[str, Any]:
    """Return every variable of the project with its spec."""
    specs = [yaml.safe_load(path.read_text())["argument_specs"] for path in ROLES.glob("*/meta/argument_specs.yml")]
    entries = [entry for spec in specs for name, entry in spec.items() if name in {"main", "settings"}]
    return {name: option for entry in entries for name, option in entry["options"].items()}


# One variable of each kind, and what follows it.
def chosen(number: int) -> dict[str, Any]:
    """Return values that nothing else says, another one for each place."""
    return {
        "grafana_memory_max": f"{number}G",
        "prometheus_port": 9100 + number,
        "monitoring_fetch": "controller",
        "monitoring_address": f"place-{number}.example.com",
        "prometheus_flags": [f"--place={number}"],
        "alertmanager_receivers": [{"name": f"place-{number}"}],
        "prometheus_alert_thresholds": {"upload_error_ratio": number / 100},
        "grafana_admin_password": f"a phrase of place {number}",
        "prometheus_password": f"another phrase of place {number}",
        "tls_self_signed": False,
        "tls_certificate": f"/certificate/of/place/{number}",
        "uninstall_purge_data": True,
    }


def effects(number: int) -> dict[str, Any]:
    """Return what the variables that follow them are then."""
    return {
        "prometheus_fetch": "controller",
        "grafana_prometheus_url": f"https://localhost:{9100 + number}",
        "grafana_prometheus_password": f"another phrase of place {number}",
        "grafana_external_url": f"https://place-{number}.example.com:3000/",
        "grafana_tls_certificate": f"/certificate/of/place/{number}",
        "__prometheus_arguments": [f"--place={number}"],
    }


WATCHED = [*chosen(0), *effects(0), JOBS]


class Checkout:
    """A folder that is like the project's own: what it ships, and a playbook that shows what the roles would see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "group_vars").mkdir(parents=True)
        for name in ("collections", "group_vars/emr_master"):
            (folder / name).symlink_to(PROJECT / name)
        shutil.copy(PROJECT / "ansible.cfg", folder)
        imports = [
            {"ansible.builtin.import_role": {"name": f"emr.monitoring.{role}", "tasks_from": part}, "when": False}
            for role, part in IMPORTED.items()
        ]
        values = "dict(names | zip(lookup('ansible.builtin.vars', *names, wantlist=True)))"
        said = f"query('emr.monitoring.overruled_values', '{JOBS}', group='emr_master')"
        shown = [f"SHOWN:{{{{ {expression} | to_json | b64encode }}}}" for expression in (values, said)]
        tasks = [*imports, *({"ansible.builtin.debug": {"msg": text}} for text in shown)]
        play = {
            "hosts": "emr_master", "gather_facts": False, "connection": "local",
            "vars": {"generated_secret_placeholder": True}, "tasks": tasks,
        }  # fmt: skip
        (folder / "show.yml").write_text(yaml.safe_dump([play]))

    def show(
        self, inventory: Path, mode: str, names: list[str] = WATCHED, options: Sequence[str] = (), **extra_vars: Any
    ) -> dict[str, tuple[dict[str, Any], list[str]]]:
        """Return by host the values of variables, and what is said of scrape jobs that have no effect."""
        (self.folder / "names.json").write_text(json.dumps({"names": names, **extra_vars}))
        given = ["-i", inventory, "-e", f"@{self.folder}/names.json", *options]
        output = run_ansible("playbook", self.folder / "show.yml", *given, cwd=self.cwd(mode))
        found: dict[str, list[Any]] = {}
        for host, text in re.findall(r"ok: \[([\w-]+)\].*?SHOWN:([\w+/=]+)", output, re.DOTALL):
            found.setdefault(host, []).append(json.loads(base64.b64decode(text)))
        return {host: (values, said) for host, (values, said) in found.items()}

    def cwd(self, mode: str) -> Path:
        """Return the folder to run in: Ansible takes ansible.cfg from there, unless everybody can write there."""
        self.folder.chmod(0o777 if mode == "world-writable" else 0o755)
        return Path("/") if mode == "without ansible.cfg" else self.folder


def run_ansible(command: str, *arguments: Any, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        [sys.executable, "-m", "ansible", command, *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


MODES = ("with ansible.cfg", "without ansible.cfg")
# What stands for all hosts has an inventory of its own; the others share one, each with a host of its own.
FOR_ALL = ("vars of all in hosts.yml", "vars of the group in hosts.yml", "group_vars/all", "-e")
FOR_ONE = (
    "vars of a child in hosts.yml",
    "vars of a sibling in hosts.yml",
    "vars of the host in hosts.yml",
    "group_vars of a child",
    "group_vars of a sibling",
    "group_vars of a sibling that sorts first",
    "group_vars of a cluster's own group",
    "host_vars",
)
GROUPS = {
    "group_vars of a child": "child",
    "group_vars of a sibling": "sibling",
    "group_vars of a sibling that sorts first": "a_sibling",
    "group_vars of a cluster's own group": "emr_j_2AXXXXXXGAPLF",
    "vars of a child in hosts.yml": "child_in_hosts",
    "vars of a sibling in hosts.yml": "sibling_in_hosts",
}


def write_inventory(checkout: Checkout, places: dict[str, dict[str, Any]], *, elsewhere: bool = False) -> Path:
    """Write an inventory like the one that is shipped, with variables in some places.

    :param places: what each place says
    :param elsewhere: whether it has group_vars of its own, with a link to those of emr_master as in the test bed; else
        it links the folder of the checkout, as the inventories do that the project ships
    """
    folder = checkout.folder / "inventory/mine"
    inventory = yaml.safe_load((PROJECT / "inventory/emr/hosts.yml").read_text())
    master = inventory["emr_master"]
    master["hosts"] = {"untouched": None}
    (folder / "host_vars").mkdir(parents=True)
    groups = folder / "group_vars"
    if elsewhere:
        groups.mkdir()
        (groups / "emr_master").symlink_to(PROJECT / "group_vars/emr_master")
    else:
        groups.symlink_to(checkout.folder / "group_vars")
    for place, values in places.items():
        host = re.sub(r"\W", "-", place)
        child = GROUPS.get(place, "")
        if place == "vars of all in hosts.yml":
            inventory["all"] = {"vars": values}
        elif place == "vars of the group in hosts.yml":
            master["vars"] |= values
        elif place == "vars of the host in hosts.yml":
            master["hosts"][host] = values
        elif place == "host_vars":
            master["hosts"][host] = None
            (folder / f"host_vars/{host}.yml").write_text(yaml.safe_dump(values))
        elif "child" in child:
            own = {"hosts": {host: None}} | ({"vars": values} if "hosts.yml" in place else {})
            master.setdefault("children", {})[child] = own
        elif child:
            master["hosts"][host] = None
            inventory[child] = {"hosts": {host: None}} | ({"vars": values} if "hosts.yml" in place else {})
        if "group_vars" in place:
            (groups / f"{child or place.removeprefix('group_vars/')}.yml").write_text(yaml.safe_dump(values))
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
    return folder


def assert_counts(values: dict[str, Any], number: int) -> None:
    """Check that values are those of a place, and that what follows them does."""
    assert {name: values[name] for name in chosen(number)} == chosen(number)
    for name, expected in effects(number).items():
        if isinstance(expected, list):
            assert set(expected) <= set(values[name])
        else:
            assert values[name] == expected


# Scrape jobs are the one thing that the project ships in group_vars: where others have no effect, which is said.
WEAK = {"vars of all in hosts.yml", "vars of the group in hosts.yml", "group_vars/all"}
IN_HOSTS = {"vars of a child in hosts.yml", "vars of a sibling in hosts.yml"}
LOSES = {
    ("with ansible.cfg", False): WEAK,
    ("with ansible.cfg", True): WEAK,
    ("without ansible.cfg", False): {*WEAK, *IN_HOSTS},
    # What lies beside the playbook wins over all that an inventory elsewhere says of a group.
    ("without ansible.cfg", True): {*WEAK, *GROUPS},
    ("world-writable", False): {*WEAK, *IN_HOSTS},
}


def mine(place: str) -> dict[str, Any]:
    return {JOBS: [{"job_name": place}]}


def assert_jobs_count_or_it_is_said(place: str, values: dict[str, Any], said: list[str], *, loses: bool) -> None:
    assert (values[JOBS] == mine(place)[JOBS]) is not loses, place
    assert [bool(re.match(f"{JOBS} of the group \\w+ in /.* has no effect", text)) for text in said] == [True] * loses


@pytest.mark.parametrize(("mode", "elsewhere"), LOSES)
def test_what_is_set_for_some_nodes_counts_or_the_run_says_that_it_does_not(
    checkout: Checkout, mode: str, elsewhere: bool
) -> None:
    places = {place: chosen(number) | mine(place) for number, place in enumerate(FOR_ONE, 1)}
    shown = checkout.show(write_inventory(checkout, places, elsewhere=elsewhere), mode)
    for number, place in enumerate(FOR_ONE, 1):
        values, said = shown[re.sub(r"\W", "-", place)]
        assert_counts(values, number)
        assert_jobs_count_or_it_is_said(place, values, said, loses=place in LOSES[mode, elsewhere])
    # Nothing of it reaches a node that it is not said of.
    values, said = shown["untouched"]
    assert (values["prometheus_port"], values["monitoring_fetch"], values["prometheus_flags"]) == (9090, "node", [])
    assert said == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("place", FOR_ALL)
def test_what_is_set_for_all_nodes_counts_or_the_run_says_that_it_does_not(
    checkout: Checkout, place: str, mode: str
) -> None:
    said_there = chosen(7) | mine(place)
    inventory = write_inventory(checkout, {} if place == "-e" else {place: said_there})
    values, said = checkout.show(inventory, mode, **(said_there if place == "-e" else {}))["untouched"]
    assert_counts(values, 7)
    assert_jobs_count_or_it_is_said(place, values, said, loses=place in LOSES[mode, False])


@pytest.mark.parametrize("mode", MODES)
def test_scrape_jobs_of_an_inventory_without_the_projects_count_or_the_run_says_that_they_do_not(
    checkout: Checkout, mode: str
) -> None:
    inventory = write_inventory(checkout, {}, elsewhere=True)
    (inventory / "group_vars/emr_master").unlink()
    (inventory / "group_vars/emr_master.yml").write_text(yaml.safe_dump(mine("elsewhere")))
    values, said = checkout.show(inventory / "hosts.yml", mode)["untouched"]
    counts = values[JOBS] == mine("elsewhere")[JOBS]
    assert counts is (mode == "with ansible.cfg")
    assert bool(said) is not counts


def test_the_run_itself_says_it(checkout: Checkout) -> None:
    inventory = write_inventory(checkout, {"group_vars/all": mine("all")})
    tasks = [
        # As the node check says it.
        {"ansible.builtin.set_fact": {"architecture": "x86_64", "cacheable": True}},
        {"ansible.builtin.import_role": {"name": "emr.monitoring.prometheus", "tasks_from": "validate"}},
        # As the verification does.
        {"ansible.builtin.debug": {"var": "__prometheus_overruled"}},
    ]
    play = {"hosts": "all", "gather_facts": False, "connection": "local", "tasks": tasks}
    (checkout.folder / "validate.yml").write_text(yaml.safe_dump([play]))
    options = ["-i", inventory, "-e", "generated_secret_placeholder=true"]
    output = run_ansible("playbook", checkout.folder / "validate.yml", *options, cwd=checkout.cwd(MODES[0]))
    assert f"{JOBS} of the group all in" in re.sub(r"\s+", " ", output)


# A certificate that is not made yet, one on the node, and one that is none; each on a host of its own, in one run.
CERTIFICATES: dict[str, dict[str, Any]] = {
    "vars of the host in hosts.yml": {"tls_self_signed": True},
    "group_vars of a sibling": {"tls_certificate": "/path/on/the/node", "tls_key": "/path"},
    "host_vars": {"tls_certificate": "none"},
}


@pytest.mark.parametrize("mode", MODES)
def test_every_variable_can_be_read_before_a_role_has_run(checkout: Checkout, mode: str) -> None:
    # Which archive is for the node, the node alone can say.
    services = (*SERVICES, "node_exporter", "backup_restic")
    asked = {f"{role}_{name}" for role in services for name in ("architecture", "url")}
    names = sorted(public().keys() - asked)
    everything_on = {"grafana_metrics": True, "alertmanager_receivers": [{"name": "me"}]}
    inventory = write_inventory(checkout, {"vars of all in hosts.yml": everything_on, **CERTIFICATES})
    shown = checkout.show(inventory, mode, names)
    for place, certificate in CERTIFICATES.items():
        values = shown[re.sub(r"\W", "-", place)][0]
        assert {name: values[name] for name in certificate} == certificate
        assert values["prometheus_root"] == "/mnt/prometheus"
        assert [value for value in values.values() if value is None] == []
        # Nothing that is not checked yet is taken for a service without HTTPS.
        assert all(values[f"{role}_tls_certificate"] for role in SERVICES)


@pytest.mark.parametrize("inventory", ["emr", "local", "demo"])
def test_an_inventory_can_be_read_without_a_role(inventory: str) -> None:
    options = ["-i", PROJECT / "inventory" / inventory, "-m", "debug", "-a", "var=hostvars[inventory_hostname]"]
    # What the test bed writes once it has made a node.
    options += ["-e", f"testbed_cache={PROJECT}"]
    shown = run_ansible("adhoc", "emr_master", *options, cwd=Path("/"))
    assert "localhost:9090" in shown
    assert "undefined" not in shown


def test_a_secret_from_a_vault_counts_wherever_it_is_set(checkout: Checkout) -> None:
    places = ("vars of the host in hosts.yml", "group_vars of a sibling", "host_vars")
    variables = ("grafana_admin_password", "prometheus_password")
    phrases = {place: {name: f"phrase {number} of {name}" for name in variables} for number, place in enumerate(places)}
    inventory = write_inventory(checkout, phrases)
    (checkout.folder / "vault").write_text("the password of the vault")
    vault = VaultLib([("default", VaultSecret(b"the password of the vault"))])
    for path in [*inventory.glob("host_vars/*"), *inventory.glob("group_vars/*.yml"), inventory / "hosts.yml"]:
        text = path.read_text()
        for said in phrases.values():
            for name, phrase in said.items():
                lines = vault.encrypt(phrase).decode().splitlines()
                block = "".join(f"\n{' ' * 20}{line}" for line in lines)
                text = text.replace(f"{name}: {phrase}", f"{name}: !vault |{block}")
        assert "phrase" not in text
        path.write_text(text)
    shown = checkout.show(inventory, MODES[1], options=["--vault-password-file", str(checkout.folder / "vault")])
    for place in places:
        values = shown[re.sub(r"\W", "-", place)][0]
        assert {name: values[name] for name in variables} == phrases[place]
        assert values["grafana_prometheus_password"] == phrases[place]["prometheus_password"]


def test_nothing_of_the_project_but_the_scrape_jobs_stands_where_it_could_win_over_a_user() -> None:
    shipped = [*PROJECT.glob("group_vars/*/*.yml"), *PROJECT.glob("inventory/*/*.yml")]
    said = {name for path in shipped for name in names_in(yaml.safe_load(path.read_text()))}
    # The self-provisioning node keeps its secrets outside the project's folder, and the local cluster is one: each is
    # said of all, the weakest of all places. By which address its nodes reach each other is a matter of each.
    assert said & public().keys() == {JOBS, "monitoring_secrets_dir", "emr_cluster_monitoring", "emr_cluster_address"}
    demo = yaml.safe_load((PROJECT / "inventory/demo-cluster/hosts.yml").read_text())
    assert demo["all"]["vars"].keys() == {"emr_cluster_monitoring"}
    local = yaml.safe_load((PROJECT / "inventory/local/hosts.yml").read_text())
    assert local["all"]["vars"].keys() == {"monitoring_secrets_dir"}


def test_no_role_and_no_playbook_sets_what_a_user_can_set() -> None:
    """The vars of a role, of a play and of a task, and what set_fact sets, win over the whole inventory."""
    files = [*ROLES.glob("*/vars/*.yml"), *ROLES.glob("*/tasks/*.yml"), *PROJECT.glob("playbooks/*.yml")]
    # A task that asks node_check or the like has arguments of these names.
    found = {
        (path.parent.parent.name, name)
        for path in files
        for name in names_in(yaml.safe_load(path.read_text()), "vars", "ansible.builtin.set_fact")
    }
    own = {("roles", name) for path in ROLES.glob("*/vars/*.yml") for name in yaml.safe_load(path.read_text())}
    assert {name for _, name in found | own} & public().keys() == set()


def names_in(value: Any, *under: str) -> Iterator[str]:
    """Yield the keys of all mappings in a value, or of those under some keys alone."""
    if isinstance(value, list):
        for element in value:
            yield from names_in(element, *under)
    elif isinstance(value, dict):
        for key, element in value.items():
            if not under:
                yield key
            elif key in under and isinstance(element, dict):
                yield from element
            yield from names_in(element, *under)
