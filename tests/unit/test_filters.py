"""The small filters of the roles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible_collections.emr.monitoring.plugins.filter.listen import own_addresses
from ansible_collections.emr.monitoring.plugins.filter.service_settings import (
    download_proxy_problems,
    grafana_login_problems,
)
from ansible_collections.emr.monitoring.plugins.filter.systemd import systemd_arguments
from ansible_collections.emr.monitoring.plugins.lookup.misspelt_variables import LookupModule
from ansible_collections.emr.monitoring.plugins.plugin_utils.bcrypt_hash import bcrypt_hash
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_ini import (
    grafana_ini_file,
    grafana_metrics_problems,
)
from ansible_collections.emr.monitoring.plugins.plugin_utils.rule_files import prometheus_rule_files
from ansible_collections.emr.monitoring.plugins.plugin_utils.scrape_jobs import (
    mixed_self_scrapes,
    passwords_in_files,
    static_targets,
    with_self_scrape_settings,
)
from ansible_collections.emr.monitoring.plugins.test.systemd import systemd_folder, systemd_memory_limit

ROLES = Path(__file__).resolve().parents[2] / "roles"


@pytest.mark.parametrize(
    ("term", "name", "right"),
    [
        ("prometheus_", "prometheus_prot", "prometheus_port"),
        ("monitoring_", "monitoring_adress", "monitoring_address"),
        ("alertmanager_", "alertmanager_recievers", "alertmanager_receivers"),
        ("emr_required", "emr_requird", "emr_required"),
        # What only a playbook sets would be ignored in an inventory.
        ("grafana_", "grafana_purge_data", "grafana_data_dir"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_nearest_right_one(term: str, name: str, right: str) -> None:
    known = ["prometheus_port", "prometheus_version", "monitoring_url", "emr_required", "tls_key"]
    others = ["emr_release", "verify_all", "service"]
    found = LookupModule(DataLoader()).run([term, "tls_"], dict.fromkeys([*known, *others, name]))
    assert found == [f"{name} is not a variable of this project: did you mean {right}?"]


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("promethus_port", "prometheus_port"),
        ("granfana_port", "grafana_port"),
        ("PROMETHEUS_PORT", "prometheus_port"),
        ("alert_manager_port", "alertmanager_port"),
        ("monitorng_volume", "monitoring_volume"),
    ],
)
def test_one_that_begins_otherwise_is_named_too(name: str, right: str) -> None:
    beginnings = ["prometheus_", "grafana_", "alertmanager_", "monitoring_"]
    (found,) = LookupModule(DataLoader()).run(["tls_"], {name: None}, beginnings=beginnings)
    assert found == f"{name} is not a variable of this project: did you mean {right}?"


@pytest.mark.parametrize("name", ["myapp_port", "prom_port", "ansible_port", "port", "grafana_port", "promethus_x"])
def test_what_is_somebody_elses_is_left_alone(name: str) -> None:
    assert LookupModule(DataLoader()).run(["tls_"], {name: None}, beginnings=["prometheus_", "grafana_"]) == []


@pytest.mark.parametrize("limit", ["infinity", "2G", "512M", "10%", 1073741824, "32M", "65536K"])
def test_a_limit_that_systemd_understands_passes(limit: object) -> None:
    assert systemd_memory_limit(limit)


@pytest.mark.parametrize("limit", ["1 gig", "2GB", "", "-1", "ten%", "2G\n", 1024, "2048", "16M", "0%", "0"])
def test_a_limit_that_systemd_would_misread_does_not(limit: object) -> None:
    assert not systemd_memory_limit(limit)


@pytest.mark.parametrize(
    ("argument", "quoted"),
    [
        ("--a=b", '"--a=b"'),
        ("--label=50% of $HOME", '"--label=50%% of $$HOME"'),
        ('--title=say "hi" \\o/', '"--title=say \\"hi\\" \\\\o/"'),
    ],
)
def test_arguments_reach_the_program_as_they_are(argument: str, quoted: str) -> None:
    assert systemd_arguments([argument]) == quoted


def test_an_argument_cannot_add_a_line_to_the_unit() -> None:
    with pytest.raises(AnsibleFilterError, match="line break"):
        systemd_arguments(["--a=b\nExecStartPre=/bin/evil"])


@pytest.mark.parametrize("folder", ["/mnt/prometheus", "/srv/a.b_c+d-e"])
def test_a_folder_that_systemd_takes_as_it_is_passes(folder: str) -> None:
    assert systemd_folder(folder)


@pytest.mark.parametrize("folder", ["", "/", "mnt", "/mnt/", "/mnt//a", "/mnt/../etc", "/a b", "/a%b", "/a\n"])
def test_a_folder_that_systemd_would_misread_does_not(folder: str) -> None:
    assert not systemd_folder(folder)


def test_grafana_ini_writes_sections_and_values() -> None:
    written = grafana_ini_file(
        {
            "server": {"http_port": 3000, "enable_gzip": True, "domain": None},
            "smtp": {"password": "hunter2", "port": 25},
        },
        {"server": {"http_port": 3000, "enable_gzip": False, "domain": None}},
    )
    assert written["content"] == (
        "; Ansible managed\n[server]\nhttp_port = 3000\nenable_gzip = true\ndomain = \n\n"
        "[smtp]\npassword = hunter2\nport = 25\n"
    )
    # The user's values are not shown, and neither is one that takes the place of the role's.
    assert written["shown"] == (
        "; Ansible managed\n[server]\nhttp_port = 3000\nenable_gzip = (not shown)\ndomain = \n\n"
        "[smtp]\npassword = (not shown)\nport = (not shown)\n"
    )


@pytest.mark.parametrize("value", ["a#b", "a;b", " a", "`a`"])
def test_grafana_ini_quotes_what_grafana_would_misread(value: str) -> None:
    assert f'key = """{value}"""' in grafana_ini_file({"section": {"key": value}}, {})["content"]


@pytest.mark.parametrize("value", [["a"], {"a": 1}, "a\n[security]"])
def test_grafana_ini_refuses_what_is_no_single_value(value: object) -> None:
    with pytest.raises(AnsibleFilterError, match=r"grafana_ini\.section\.key"):
        grafana_ini_file({"section": {"key": value}}, {})["content"]


def test_grafana_ini_refuses_a_section_that_is_no_mapping() -> None:
    with pytest.raises(AnsibleFilterError, match=r"grafana_ini\.server"):
        grafana_ini_file({"server": "here"}, {})["content"]  # type: ignore[dict-item]


# What a genuine Grafana 12.4 took for yes: it gave its metrics.
@pytest.mark.parametrize("enabled", [True, "true", "yes", 1, None, "", "nope", "oFF", "$__env{UNSET}"])
@pytest.mark.parametrize("login", [{}, {"basic_auth_username": "a"}, {"basic_auth_password": "b"}])
def test_metrics_for_everybody_are_refused(enabled: object, login: dict[str, str]) -> None:
    (problem,) = grafana_metrics_problems({"metrics": {"enabled": enabled, **login}}, False)
    assert "grafana_ini.metrics.enabled" in problem
    assert "Set grafana_metrics to true" in problem


# And these for no.
@pytest.mark.parametrize("enabled", [False, 0, "No", "off", "n", "FALSE"])
def test_metrics_that_are_off_need_no_login(enabled: object) -> None:
    assert grafana_metrics_problems({"metrics": {"enabled": enabled}}, False) == []


@pytest.mark.parametrize("ini", [{}, {"metrics": {"interval_seconds": 10}}, {"metrics": "no mapping"}])
@pytest.mark.parametrize("grafana_metrics", [True, False])
def test_what_says_nothing_of_who_gets_the_metrics_is_no_problem(ini: dict[str, Any], grafana_metrics: bool) -> None:
    assert grafana_metrics_problems(ini, grafana_metrics) == []


def test_metrics_with_a_login_of_the_users_own_are_no_problem() -> None:
    own = {"metrics": {"enabled": True, "basic_auth_username": "a", "basic_auth_password": "secret"}}
    assert grafana_metrics_problems(own, False) == []
    (problem,) = grafana_metrics_problems(own, True)
    assert "grafana_ini.metrics.basic_auth_password" in problem
    assert "secret" not in problem


def test_rule_files_are_read_from_all_folders(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("groups: []")
    (tmp_path / "notes.txt").write_text("no rules")
    assert prometheus_rule_files([str(tmp_path)]) == {"rules/a.yml": "groups: []"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("more/b.yml", r"more/b\.yml lies in a subfolder of .*: list .*/more, too, or move the file"),
        ("b.YML", r"b\.YML is no \*\.yml and no \*\.yaml file: rename it"),
        ("b.Yaml", r"b\.Yaml is no"),
    ],
)
def test_a_rule_file_that_would_be_left_out_is_refused(tmp_path: Path, name: str, said: str) -> None:
    for rel in ("a.yml", name):
        (tmp_path / rel).parent.mkdir(exist_ok=True)
        (tmp_path / rel).write_text("groups: []")
    with pytest.raises(AnsibleFilterError, match=said):
        prometheus_rule_files([str(tmp_path)])


def test_a_folder_and_its_subfolder_can_both_be_listed(tmp_path: Path) -> None:
    for rel in ("a.yml", "more/b.yml", ".git/c.yml", "more/.d.yml"):
        (tmp_path / rel).parent.mkdir(exist_ok=True)
        (tmp_path / rel).write_text("groups: []")
    assert list(prometheus_rule_files([str(tmp_path), str(tmp_path / "more")])) == ["rules/a.yml", "rules/b.yml"]


def test_a_folder_without_a_rule_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no rules")
    with pytest.raises(AnsibleFilterError, match="holds no rule file"):
        prometheus_rule_files([str(tmp_path)])


@pytest.mark.parametrize(
    "name", ["a.YML", "a.Yaml", "a.rules", "a.rules.txt", "a.yml.txt", "a.yml.j2", "a.json", "alerts"]
)
def test_what_seems_a_rule_file_and_would_be_left_out_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "right.yml").write_text("groups: []")
    (tmp_path / name).write_text('{"groups": []}' if name == "a.json" else "groups: []")
    with pytest.raises(AnsibleFilterError, match=rf"{re.escape(name)} is no \*.yml and no \*.yaml file: rename it"):
        prometheus_rule_files([str(tmp_path)])


@pytest.mark.parametrize("name", ["README.md", "a.yml~", "a.yml.bak", ".a.rules", "notes", "package.json"])
def test_what_lies_beside_rule_files_is_left_out(tmp_path: Path, name: str) -> None:
    (tmp_path / "right.yml").write_text("groups: []")
    (tmp_path / name).write_text('{"version": 1}' if name == "package.json" else "# The groups\n\n- of: alerts: two\n")
    (tmp_path / "x.yml").mkdir()
    assert list(prometheus_rule_files([str(tmp_path)])) == ["rules/right.yml"]


def test_a_subfolder_that_is_listed_in_another_way_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules/more").mkdir(parents=True)
    (tmp_path / "rules/a.yml").write_text("groups: []")
    (tmp_path / "rules/more/b.yml").write_text("groups: []")
    assert list(prometheus_rule_files(["rules", str(tmp_path / "rules/more")])) == ["rules/a.yml", "rules/b.yml"]


def test_a_folder_of_the_users_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/a.yml").write_text("groups: []")
    assert list(prometheus_rule_files(["~/rules"])) == ["rules/a.yml"]


def test_a_missing_rule_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnsibleFilterError, match=r"prometheus_rules_dirs: .*/nowhere is not a folder"):
        prometheus_rule_files([str(tmp_path / "nowhere")])


def test_two_rule_files_with_one_name_are_named(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yml").write_text("groups: []")
    with pytest.raises(AnsibleFilterError, match="same name"):
        prometheus_rule_files([str(tmp_path / "one"), str(tmp_path / "two")])


@pytest.mark.parametrize(
    ("name", "variable"), [("thresholds.yml", "prometheus_alert_thresholds"), ("runbook.yml", "prometheus_runbook_url")]
)
def test_a_rule_file_with_the_name_of_one_that_the_role_makes_is_refused(
    tmp_path: Path, name: str, variable: str
) -> None:
    (tmp_path / name).write_text("groups: []")
    with pytest.raises(AnsibleFilterError, match=f"{name} has the name of the file that {variable} makes"):
        prometheus_rule_files([str(tmp_path)])


def test_passwords_go_into_files_of_their_own() -> None:
    login = {"username": "admin", "password": "a good phrase"}
    jobs = [{"job_name": "a", "basic_auth": login}, {"job_name": "b", "basic_auth": {"username": "x"}}]
    apart = passwords_in_files({"scrape_configs": jobs, "alerting": {"alertmanagers": [{"basic_auth": login}]}}, "salt")
    (file,) = apart["files"]
    assert apart["files"] == {file: login["password"]}
    assert apart["config"] == {
        "scrape_configs": [{"job_name": "a", "basic_auth": {"username": "admin", "password_file": file}}, jobs[1]],
        "alerting": {"alertmanagers": [{"basic_auth": {"username": "admin", "password_file": file}}]},
    }


def test_the_name_of_a_password_file_changes_with_the_password_and_gives_nothing_away() -> None:
    def file(password: str, salt: str) -> str:
        (name,) = passwords_in_files({"basic_auth": {"password": password}}, salt)["files"]
        return str(name)

    assert file("one", "salt") == file("one", "salt")
    assert len({file("one", "salt"), file("other", "salt"), file("one", "pepper")}) == 3


def test_what_is_no_login_keeps_its_password() -> None:
    config = {"openstack_sd_configs": [{"password": "there is no option for a file"}]}
    assert passwords_in_files(config, "salt") == {"config": config, "files": {}, "problems": []}


@pytest.mark.parametrize("password", ["needle ", " needle", "needle \n", "\tneedle"])
def test_a_password_that_would_be_another_one_in_a_file_is_refused(password: str) -> None:
    jobs = [{"job_name": "x", "basic_auth": {"username": "u", "password": password}}]
    (problem,) = passwords_in_files({"scrape_configs": jobs}, "salt")["problems"]
    assert problem.startswith("The password in basic_auth of job x begins or ends with a space")
    (problem,) = passwords_in_files({"alerting": {"alertmanagers": jobs[0]}}, "salt")["problems"]
    assert "needle" not in problem


def test_the_end_of_a_line_is_no_part_of_a_password() -> None:
    assert passwords_in_files({"basic_auth": {"password": "as a block in YAML\n"}}, "salt")["problems"] == []


SELF_SCRAPE = {"basic_auth": {"username": "admin"}, "scheme": "https", "tls_config": {"ca_file": "mine"}}


LOCAL = ("localhost:9090", "127.0.0.1:9090", "[::1]:9090")
OWN = own_addresses("0.0.0.0", 9090, "https://lb.example.com/prometheus/")  # noqa: S104


def scraping(*targets: str, name: str = "prometheus", **settings: Any) -> dict[str, Any]:
    return {"job_name": name, "static_configs": [{"targets": [target]} for target in targets], **settings}


@pytest.mark.parametrize(
    "job",
    [
        scraping("localhost:9090"),
        scraping(*LOCAL, name="federation"),
        scraping("localhost:9090", metrics_path="/federate"),
        scraping("lb.example.com", metrics_path="/prometheus/metrics"),
        scraping("lb.example.com:443", metrics_path="/prometheus/metrics"),
    ],
)
def test_what_scrapes_this_nodes_own_prometheus_gets_its_login_by_whatever_name(job: dict[str, Any]) -> None:
    assert with_self_scrape_settings([job], SELF_SCRAPE, OWN) == [{**job, **SELF_SCRAPE}]
    assert mixed_self_scrapes([job], SELF_SCRAPE, OWN) == []


@pytest.mark.parametrize(
    "job",
    [
        scraping("localhost:8000"),
        scraping("localhost:9091"),
        scraping("other-node.invalid:9090"),
        # Others behind the same load balancer.
        scraping("lb.example.com"),
        scraping("lb.example.com", metrics_path="/grafana/metrics"),
        scraping("lb.example.com", metrics_path="/prometheus/federate"),
        scraping(
            "lb.example.com", metrics_path="/prometheus/metrics", relabel_configs=[{"target_label": "__metrics_path__"}]
        ),
        {
            "job_name": "labelled",
            "metrics_path": "/prometheus/metrics",
            "static_configs": [{"targets": ["lb.example.com"], "labels": {"__metrics_path__": "/grafana/metrics"}}],
        },
        scraping("localhost:9090.example.com:9090"),
        {"job_name": "prometheus"},
        {"job_name": "prometheus", "static_configs": None},
        {"job_name": "prometheus", "file_sd_configs": [{"files": ["prometheus.yml"]}]},
        scraping("localhost:9090", proxy_url="http://proxy.invalid"),
        scraping("localhost:9090", proxy_from_environment=True),
        scraping("localhost:9090", relabel_configs=[{"target_label": "__address__", "replacement": "other:9115"}]),
        scraping("localhost:9090", relabel_configs=[{"target_label": "__${1}__", "replacement": "other:9115"}]),
        scraping("localhost:9090", relabel_configs=[{"action": "labelmap", "regex": "(.*)_x"}]),
    ],
)
def test_the_login_goes_nowhere_else(job: dict[str, Any]) -> None:
    assert with_self_scrape_settings([job], SELF_SCRAPE, OWN) == [job]
    assert mixed_self_scrapes([job], SELF_SCRAPE, OWN) == []


def test_two_groups_with_one_target_are_two_addresses() -> None:
    groups = [
        {"targets": ["lb.example.com"], "labels": {"__metrics_path__": f"/{name}/metrics"}}
        for name in ("grafana", "prometheus")
    ]
    (problem,) = mixed_self_scrapes([{"job_name": "x", "static_configs": groups}], SELF_SCRAPE, OWN)
    assert '["lb.example.com"] alone' in problem


def test_a_relabelling_that_moves_no_target_takes_no_login_away() -> None:
    rules = [{"action": "keep", "source_labels": ["job"], "regex": "prometheus"}, {"target_label": "node"}]
    (job,) = with_self_scrape_settings([scraping("localhost:9090", relabel_configs=rules)], SELF_SCRAPE, OWN)
    assert job["basic_auth"] == SELF_SCRAPE["basic_auth"]


@pytest.mark.parametrize(
    "job",
    [
        scraping("localhost:9090", "other-node.invalid:9090"),
        scraping("other-node.invalid:9090", "127.0.0.1:9090", name="mine"),
        scraping("localhost:9090", ec2_sd_configs=[{"region": "eu-central-1"}]),
    ],
)
def test_a_job_that_mixes_this_nodes_own_with_others_is_refused(job: dict[str, Any]) -> None:
    (problem,) = mixed_self_scrapes([job, scraping("localhost:9090", name="fine")], SELF_SCRAPE, OWN)
    assert repr(job["job_name"]) in problem
    assert ':9090"] alone' in problem
    assert with_self_scrape_settings([job], SELF_SCRAPE, OWN) == [job]
    # Without a login and a certificate there is nothing to keep from anybody.
    assert mixed_self_scrapes([job], {}, OWN) == []
    assert mixed_self_scrapes([job | {"authorization": {"credentials_file": "token"}}], SELF_SCRAPE, OWN) == []


@pytest.mark.parametrize(
    "own", [{"basic_auth": {"username": "me"}}, {"scheme": "http"}, {"tls_config": {"insecure_skip_verify": True}}]
)
def test_a_setting_of_the_users_own_stays(own: dict[str, Any]) -> None:
    job = scraping("localhost:9090", **own)
    assert with_self_scrape_settings([job], SELF_SCRAPE, OWN) == [{**job, **SELF_SCRAPE, **own}]


@pytest.mark.parametrize("login", ["authorization", "oauth2"])
def test_another_login_of_the_users_own_stays_alone(login: str) -> None:
    job = scraping("localhost:9090") | {login: {"credentials_file": "token"}}
    assert with_self_scrape_settings([job], {"basic_auth": {"username": "admin"}}, OWN) == [job]


@pytest.mark.parametrize("salt", ["A" * 22, "z" * 22, "abcdefghij0123456789XY", "9" * 30])
def test_a_password_has_one_hash_for_one_salt_and_fits_it(salt: str) -> None:
    hashed = bcrypt_hash("a good phrase", salt, "a_password")
    assert hashed == bcrypt_hash("a good phrase", salt, "a_password")
    assert bcrypt.checkpw(b"a good phrase", hashed.encode())
    assert not bcrypt.checkpw(b"another phrase", hashed.encode())


@pytest.mark.parametrize(("password", "salt"), [("x" * 73, "A" * 22), ("a good phrase", "short")])
def test_what_bcrypt_would_cut_or_refuse_is_refused(password: str, salt: str) -> None:
    with pytest.raises(AnsibleFilterError, match=r"72 bytes|22 characters"):
        bcrypt_hash(password, salt, "a_password")


def test_a_salt_that_is_none_is_replaced_by_the_option_without_which_a_node_refuses_it() -> None:
    with pytest.raises(
        AnsibleFilterError, match=r"remove its file and run .* monitoring_secrets_replace=a_password_salt,"
    ):
        bcrypt_hash("a good phrase", "short", "a_password")


def test_what_is_known_of_the_targets_beforehand_is_what_stands_in_the_jobs() -> None:
    jobs: list[dict[str, Any]] = [
        {"job_name": 8080, "static_configs": [{"targets": ["a:1", "b:2"], "labels": {"shard": 1}}, {"targets": None}]},
        {"job_name": "ec2", "ec2_sd_configs": [], "static_configs": None},
        {"job_name": "bare", "static_configs": [{"targets": ["c:3"], "labels": None}]},
    ]
    labels = {"shard": "1"}
    assert static_targets(jobs) == {
        "8080": [{"address": "a:1", "labels": labels}, {"address": "b:2", "labels": labels}],
        "ec2": [],
        "bare": [{"address": "c:3", "labels": {}}],
    }


@pytest.mark.parametrize(
    "proxy",
    ["", None, "http://proxy", "http://proxy.example.com:3128/", "http://u:p%40s@10.0.0.1:8080", "http://[::1]:1"],
)
def test_the_address_of_a_proxy_is_taken(proxy: str | None) -> None:
    assert download_proxy_problems(proxy) == []


@pytest.mark.parametrize(
    "proxy",
    [
        *(
            "proxy:3128",
            "https://u:needle@proxy:1",
            "socks5://u:needle@proxy:1",
            "http://u:nee@needle@proxy",
            "http://",
        ),
        *(
            "http://u:needle/x@proxy",
            "http://proxy/needle",
            "http://proxy:1?needle",
            "http://pro xy",
            "http://a\nneedle",
        ),
    ],
)
def test_what_is_no_address_of_a_proxy_is_refused_and_not_shown(proxy: str) -> None:
    (problem,) = download_proxy_problems(proxy)
    assert problem.startswith("monitoring_download_proxy is no address of a proxy")
    assert "needle" not in problem


GRAFANA = {"admin_user": "admin", "admin_password": "needle-4711-", "metrics": True, "metrics_username": "metrics"}


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("needle", "has fewer than 12 characters"),
        ("needle-4711\n-", "holds a line break"),
        ("needle-4711- ", "begins or ends with a space"),
        (" needle-4711-", "begins or ends with a space"),
    ],
)
@pytest.mark.parametrize("name", ["admin_password", "metrics_password"])
def test_a_password_that_grafana_would_not_take_as_it_is_is_refused(name: str, password: str, said: str) -> None:
    settings = {"metrics_password": "needle-4711-", **GRAFANA, name: password}
    (problem,) = grafana_login_problems(settings)
    assert problem.startswith(f"grafana_{name} {said}")
    assert grafana_login_problems({**settings, name: "needle-4711-"}) == []
    assert bool(grafana_login_problems({**settings, "metrics": False})) is (name == "admin_password")
