#!/usr/bin/python
"""Bring a systemd unit to the state that its files describe, and wait until the service works."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emr.monitoring.plugins.module_utils.grafana_login import stored_login
from ansible_collections.emr.monitoring.plugins.module_utils.http_client import fetcher
from ansible_collections.emr.monitoring.plugins.module_utils.unit import Service, UnitError

DOCUMENTATION = r"""
module: systemd_unit
short_description: Bring a systemd unit to the state that its files describe, and see it work
description:
  - Enables and starts a unit, restarts it if it runs since before O(restart_after), reloads it if it loaded
    its configuration before O(reload_after), and does nothing otherwise.
  - What there is to do follows from the node's own state, not from what earlier tasks changed. A run that was
    cut off between writing files and restarting the service is made up for by the next one.
  - Ends when the service itself says that it works, with or without a change. If it does not, the failure
    holds the unit's last journal lines.
options:
  name:
    description: The unit, with its suffix.
    type: str
    required: true
  restart_after:
    description: When the unit's file, program or flags last changed, in seconds since the epoch. A main
      process that started before is restarted.
    type: float
    default: 0
  reload_after:
    description: When the configuration last changed, in seconds since the epoch. A service that loaded it
      before is reloaded. Needs O(loaded) or O(reload_url).
    type: float
    default: 0
  reload_url:
    description:
      - Where a POST makes the service load its configuration again, in place of C(systemctl reload). HTTP 200
        is success.
      - Without O(loaded) the module goes by the time of the last such POST to the main process that runs now,
        which it notes in C(/run).
    type: str
  ready_url:
    description: A URL that answers HTTP 200 (a redirect does not count) once the service works.
    type: str
  loaded:
    description: How the service tells when it last loaded its configuration. If there is a gauge that ends in
      C(_successful) where the named one ends in C(_success_timestamp_seconds), a 0 there means refused.
      A service that does not tell loads it at its start and at a POST to O(reload_url).
    type: dict
    suboptions:
      url:
        description: A page of metrics in Prometheus' text format.
        type: str
        required: true
      metric:
        description: The gauge with the time of the last successful load, in seconds since the epoch.
        type: str
        required: true
  answers:
    description: Further URLs to ask once the service works, each once and in this order, by name. Any HTTP status
      is an answer and none is a failure. After a 401 no further one is asked, since services count wrong passwords.
    type: dict
    default: {}
  url_username:
    description: The user name for all URLs, sent as basic authentication.
    type: str
  url_password:
    description: The password for all URLs.
    type: str
  login_store:
    description:
      - Grafana's SQLite database, which is looked at before the first question. It tells whether O(url_password) is
        the user's, without asking Grafana, which counts wrong ones; where it is another one, O(answers) are not asked.
      - O(login_attempts) wrong passwords within five minutes lock the user out, the right password too. Then the
        questions are asked under the user's e-mail address, whose wrong passwords Grafana counts apart.
      - A file that is not there, or that is no such database, tells nothing.
    type: path
  login_attempts:
    description: How many wrong passwords within five minutes lock a user out.
    type: int
    default: 5
  certificate_path:
    description: A PEM file. The service has to present the first certificate in it; no other is trusted and
      the name in it does not matter, since the service is asked at an address of the node.
    type: path
  timeout:
    description: For how long to wait for the service, in seconds. The stop and the start of a restart
      count, too.
    type: float
    default: 60
attributes:
  check_mode:
    description: Tells the actions it would take, and asks O(answers) if the unit is running. The unit does not
      have to exist yet.
    support: full
notes:
  - The URLs are asked without a proxy.
  - A service has to run for one second before it counts as working. One that dies at once would otherwise
    pass if an older process still answered at its URL.
author: [emr-monitoring contributors]
"""

EXAMPLES = r"""
- name: Run Prometheus
  emr.monitoring.systemd_unit:
    name: prometheus.service
    restart_after: "{{ unit_changed_at }}"
    reload_after: "{{ configuration_changed_at }}"
    ready_url: http://localhost:9090/-/ready
    loaded:
      url: http://localhost:9090/metrics
      metric: prometheus_config_last_reload_success_timestamp_seconds

- name: Run a service that speaks TLS, and ask whether the password is right
  emr.monitoring.systemd_unit:
    name: grafana.service
    ready_url: https://127.0.0.1:3000/api/health
    certificate_path: /etc/grafana/tls/certificate.pem
    url_username: admin
    url_password: "{{ vault_grafana_password }}"
    answers:
      login: https://127.0.0.1:3000/api/user
  register: grafana

- name: Have Grafana read its data sources again
  emr.monitoring.systemd_unit:
    name: grafana.service
    reload_url: https://127.0.0.1:3000/api/admin/provisioning/datasources/reload
    reload_after: "{{ data_sources_changed_at }}"
    certificate_path: /etc/grafana/tls/certificate.pem
    url_username: admin
    url_password: "{{ vault_grafana_password }}"
  when: data_sources_changed_at > grafana.loaded_at
"""

RETURN = r"""
actions:
  description: What was done (in check mode, what would be), in this order. Of the last three there is one
    at most.
  returned: always
  type: list
  elements: str
  sample: [daemon-reload, reset-failed, enable, start, restart, reload]
pid:
  description: The main process, 0 if there is none.
  returned: success
  type: int
started_at:
  description: When the main process started, in seconds since the epoch; 0 if it never did.
  returned: success
  type: float
ready_at:
  description: When the service that this run started or restarted was ready, in seconds since the epoch; 0 if this
    run did neither.
  returned: success
  type: float
loaded_at:
  description: When the service last loaded its configuration, in seconds since the epoch; none if it does not
    answer. In check mode, if it would be started or restarted, the time of now.
  returned: success
  type: float
refused:
  description: Whether the service says that it refused its configuration when it last tried to load it, and goes
    on with an older one.
  returned: success
  type: bool
answers:
  description: The answers to O(answers), by name.
  returned: success
  type: dict
  contains:
    status:
      description: The HTTP status, 0 if there is no answer.
      type: int
    json:
      description: The body, parsed; none if it is not JSON. That of an error is there, too. Addresses are without
        logins and queries, and labels that only steer a scrape are left out.
      type: raw
    error:
      description: Why there is no answer, or that it was not asked for; empty if there is one.
      type: str
  sample:
    login:
      status: 401
      json: {message: Invalid username or password}
      error: ""
login:
  description: What O(login_store) says of the user.
  returned: success
  type: dict
  contains:
    state:
      description: Whether O(url_password) is C(right), C(wrong), C(unknown), or the user C(absent).
      type: str
    locked_for:
      description: For how many seconds Grafana refuses the user under each name, 0 if it does not.
      type: int
    tried_from:
      description: Where the wrong passwords of the last five minutes came from, as Grafana was told.
      type: list
      elements: str
  sample: {state: right, locked_for: 0, tried_from: []}
"""
ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "restart_after": {"type": "float", "default": 0},
    "reload_after": {"type": "float", "default": 0},
    "reload_url": {"type": "str"},
    "ready_url": {"type": "str"},
    "loaded": {
        "type": "dict",
        "options": {"url": {"type": "str", "required": True}, "metric": {"type": "str", "required": True}},
    },
    "answers": {"type": "dict", "default": {}},
    "url_username": {"type": "str"},
    "url_password": {"type": "str", "no_log": True},
    "login_store": {"type": "path"},
    "login_attempts": {"type": "int", "default": 5},
    "certificate_path": {"type": "path"},
    "timeout": {"type": "float", "default": 60},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_together=[("url_username", "url_password")],
        required_by={"login_store": "url_username"},
    )
    params = module.params
    if params["reload_after"] and not params["loaded"] and not params["reload_url"]:
        module.fail_json(
            "reload_after needs loaded or reload_url: without them nobody can tell what the service has loaded."
        )
    module.run_command_environ_update = {"LC_ALL": "C", "SYSTEMD_COLORS": "0"}
    if max(params["restart_after"], params["reload_after"]) > time.time() + 1 and not module.check_mode:
        module.warn(
            f"restart_after or reload_after of {params['name']} lies in the future, so every run will "
            "act until then: check the clock of the node."
        )
    username, password, store = params["url_username"], params["url_password"], params["login_store"]
    look = partial(stored_login, store, params["login_attempts"], username, password) if store else None
    fetch = fetcher(look().name if look else username, password, params["certificate_path"])
    service = Service(params, module.run_command, fetch, look)
    try:
        results = service.preview() if module.check_mode else service.converge()
    except UnitError as error:
        module.fail_json(service.report(error), changed=bool(service.actions), actions=service.actions)
    module.exit_json(changed=bool(service.actions), actions=service.actions, **results)


if __name__ == "__main__":
    main()
