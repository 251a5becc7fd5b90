"""What a configuration names: a certificate that is one, a file that Prometheus can write."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.emr.monitoring.plugins.plugin_utils.named_files import named_file_problems

from tests.certificates import sign

PAIR, OTHER = sign("client.example.com"), sign("other.example.com")
FILES = {
    "files/cert.pem": PAIR.certificate,
    "files/key.pem": PAIR.key,
    "files/other.pem": OTHER.key,
    "files/locked.pem": PAIR.encrypted_key,
    "files/none.pem": "needle",
    "files/jobs/a.yml": "",
}


def problems(**sections: Any) -> list[str]:
    return named_file_problems(sections, FILES, "/etc/prometheus", "/mnt/data")


def job(**tls: str) -> dict[str, Any]:
    return {"scrape_configs": [{"job_name": "a", "tls_config": {f"{name}_file": file for name, file in tls.items()}}]}


@pytest.mark.parametrize(
    "tls",
    [
        {"cert": "files/cert.pem", "key": "files/key.pem", "ca": "files/cert.pem"},
        {"cert": "/etc/prometheus/files/cert.pem", "key": "files/key.pem"},
        # What lies on the node, nobody knows here.
        {"cert": "/opt/cert.pem", "key": "/opt/key.pem", "ca": "/opt/none.pem"},
        {"cert": "/opt/cert.pem", "key": "files/none.pem"},
    ],
)
def test_a_pair_that_fits_is_taken(tls: dict[str, str]) -> None:
    assert problems(**job(**tls)) == []


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ({"ca": "files/none.pem"}, "job a.tls_config.ca_file is files/none.pem"),
        ({"cert": "files/none.pem", "key": "files/key.pem"}, "job a.tls_config.cert_file (files/none.pem in"),
        ({"cert": "files/cert.pem", "key": "files/none.pem"}, "job a.tls_config.key_file (files/none.pem in"),
        ({"cert": "files/cert.pem", "key": "files/locked.pem"}, "is encrypted with a passphrase"),
        ({"cert": "files/cert.pem", "key": "files/other.pem"}, "does not belong to job a.tls_config.cert_file"),
    ],
)
def test_one_that_is_none_is_refused_by_its_place(tls: dict[str, str], said: str) -> None:
    (problem,) = problems(**job(**tls))
    assert said in problem
    assert "needle" not in problem


def test_a_log_goes_to_the_data_alone() -> None:
    assert problems(**{"global": {"query_log_file": "/mnt/data/query.log"}}) == []
    for path in ("query.log", "/var/log/query.log", "/mnt/data/../x.log"):
        (problem,) = problems(**{"global": {"query_log_file": path}})
        assert problem.startswith(f"global.query_log_file is {path!r}")
        assert "/mnt/data/" in problem
    failing = {"job_name": "a", "scrape_failure_log_file": "/var/log/x.log"}
    assert problems(scrape_configs=[failing])[0].startswith("job a.scrape_failure_log_file")


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    assert problems(scrape_config_files=["files/jobs/*.yml", "/opt/jobs/*.yml"]) == []
    (problem,) = problems(scrape_config_files=["files/job/*.yml"])
    assert "'files/job/*.yml', which matches no file" in problem
