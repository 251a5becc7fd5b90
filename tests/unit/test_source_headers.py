"""Headers of a data source are told apart from their values, which are secret."""

from __future__ import annotations

from ansible_collections.emr.monitoring.plugins.filter.source_headers import header_names, header_values


def test_each_header_has_a_number_and_a_dollar_stays_one() -> None:
    headers = {"X-Scope-OrgID": "team-1", "THANOS-TENANT": "a$b", "X-Number": 7}
    assert header_names(headers) == {
        "httpHeaderName1": "X-Scope-OrgID", "httpHeaderName2": "THANOS-TENANT", "httpHeaderName3": "X-Number",
    }  # fmt: skip
    assert header_values(headers) == {
        "httpHeaderValue1": "team-1", "httpHeaderValue2": "a$$b", "httpHeaderValue3": 7,
    }  # fmt: skip
    assert header_names({}) == header_values(None) == {}
