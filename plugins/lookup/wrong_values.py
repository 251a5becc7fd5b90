"""Find variables whose value is of no use, whatever a service would make of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleTemplateSyntaxError
from ansible.plugins.lookup import LookupBase
from ansible_collections.emr.monitoring.plugins.plugin_utils.role_options import role_options
from ansible_collections.emr.monitoring.plugins.plugin_utils.written import Written

DOCUMENTATION = r"""
name: wrong_values
author: EMR monitoring
version_added: "1.0.0"
short_description: Describe each variable of some roles that has another value than its default, of a wrong type
description:
  - In place of C(validate_argument_spec), which takes what YAML has changed (C(no) for the text C(False)), says nothing
    of a variable that is left empty, and uses words of Python.
options:
  _terms:
    description: The roles whose variables to look at.
    required: true
  only:
    description: The names to look at alone.
    type: list
    elements: str
"""
EXAMPLES = r"""
- name: Refuse values of the wrong type
  ansible.builtin.assert:
    that: query('emr.monitoring.wrong_values', 'settings', 'prometheus') == []
"""
RETURN = r"""
_raw:
  description: One sentence per problem, with the variable and what to write.
  type: list
  elements: str
"""

ROLES = Path(__file__).parents[2] / "roles"
# Texts that say something by being empty: no login, no HTTPS, no address of its own. Nothing at all is the same.
MAY_BE_EMPTY = {
    *("tls_certificate", "tls_key", "monitoring_download_proxy"),
    *("grafana_metrics_password", "grafana_dashboards_folder", "grafana_dashboards_refresh"),
    *("emr_cluster_hadoop.ca", "grafana_database.ca"),
    *(f"{role}_{name}" for role in ("prometheus", "alertmanager", "grafana") for name in (
        "external_url", "password", "password_salt", "tls_certificate", "tls_key"
    )),
    *(f"node_exporter_{name}" for name in ("password", "password_salt", "tls_certificate", "tls_key")),
    *(f"grafana_prometheus_{name}" for name in ("username", "password", "certificate")),
}  # fmt: skip


def wrong_values(values: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Describe each value that is not what its spec says.

    :param values: value by the name of its variable
    :param options: spec by the same name
    :returns: sentences that name the variable and the remedy; of a secret they show nothing
    """
    gate = Written()
    for name, value in values.items():
        _check(gate, name, value, options[name])
    return gate.problems


def _check(gate: Written, name: str, value: Any, option: Mapping[str, Any]) -> None:
    kind = option["type"]
    if kind == "dict":
        meant = gate.mapping(name, value, secret=True)
        if "options" in option:
            _check_keys(gate, name, meant, option["options"])
    elif kind == "list":
        # What stands in lists of mappings is checked by the gate of the service that reads it.
        if option["elements"] != "dict":
            for number, item in enumerate(gate.sequence(name, value), 1):
                _check_one(gate, f"{name}[{number}]", item, {"type": option["elements"]})
    elif kind == "raw" or (value is None and name in MAY_BE_EMPTY):
        return
    else:
        _check_one(gate, name, value, option)


def _check_one(gate: Written, where: str, value: Any, option: Mapping[str, Any]) -> None:
    if value is None or (value == "" and where not in MAY_BE_EMPTY):
        gate.problems.append(f"{where} is empty: write a value, or remove the line for the default.")
    elif option["type"] == "bool":
        gate.truth(where, value)
    elif option["type"] in ("int", "float"):
        gate.number(where, value, whole=option["type"] == "int")
    elif gate.text(where, value) and str(value) not in option.get("choices", [str(value)]):
        gate.refuse(where, value, f"write one of {', '.join(option['choices'])}")


def _check_keys(gate: Written, name: str, value: Mapping[Any, Any], options: Mapping[str, Any]) -> None:
    for key, item in value.items():
        if key in options:
            _check(gate, f"{name}.{key}", item, options[key])
        else:
            near = difflib.get_close_matches(str(key), options, n=1, cutoff=0)
            gate.problems.append(f"{name}.{key} is not known: did you mean {near[0]}?")


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return the sentences about the variables of the roles that are known here."""
        only = kwargs.get("only")
        options: dict[str, Any] = {}
        for role in terms:
            options |= role_options(str(ROLES / role / "meta/argument_specs.yml"))
        known = variables or {}
        names = [name for name in options if name in known and (not only or name in only)]
        # A default is right wherever what it follows is, and that is looked at itself. To evaluate them all takes a
        # third of a second.
        files = [str(ROLES / role / "defaults/main.yml") for role in terms]
        defaults = {name: value for file in files for name, value in self._loader.load_from_file(file).items()}
        written = [name for name in names if name not in defaults or known[name] != defaults[name]]
        values, problems = {}, []
        for name in written:
            try:
                values[name] = self._templar.template(known[name])
            except AnsibleTemplateSyntaxError:
                problems.append(
                    f"{name} holds {{{{ or {{%, and what follows is no template of Ansible's: where it is meant for "
                    "another program, write !unsafe before that text."
                )
        return problems + wrong_values(values, options)
