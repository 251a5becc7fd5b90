#!/usr/bin/python
"""Bring one service to the node as one transaction, see it work, or put back what ran before."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emr.monitoring.plugins.module_utils.release import ReleaseError
from ansible_collections.emr.monitoring.plugins.module_utils.service import ServiceRun
from ansible_collections.emr.monitoring.plugins.module_utils.tree import TreeError
from ansible_collections.emr.monitoring.plugins.module_utils.tree_apply import NotProvedError
from ansible_collections.emr.monitoring.plugins.module_utils.unit_state import UnitError

DOCUMENTATION = r"""
module: service
short_description: Bring one service to the node as one transaction, see it work, or put back what ran before
description:
  - Installs a pinned release, renders all files, has the service's own checkers judge them, makes release, files, links
    and unit live together, starts, restarts or reloads the unit where that is due, and asks the service whether it
    works.
  - Where it is not ready, has not loaded its configuration or dies soon after, the files, links, the unit and its
    enabled state that were live before are put back, the old service is started again, and the task fails with the
    journal of the attempt. On a first install nothing is left enabled or running.
  - What was live is kept as hard links until the service works, so that a way back needs no free disk. A run that is
    killed in between is made good by the next one, which first puts back what was live.
  - One trip to the node does all of this. An installation that takes longer than 8 s goes on in the background while
    further trips say how far it is.
  - What there is to do follows from the node's own state, never from what earlier tasks changed. A file, link or folder
    that no earlier run made is never replaced.
  - Runs as root.
extends_documentation_fragment:
  [emr.monitoring.release, emr.monitoring.trees, emr.monitoring.asked, emr.monitoring.examined]
options:
  name:
    description: Name of the service. Errors name the role's variables by it. Two services never share one.
    type: str
    required: true
  state:
    description:
      - V(absent) stops and disables the unit and removes the files, links and releases that this module made, if it
        made the unit; data and users stay.
      - V(asked) changes nothing. It tells which actions are due, and asks O(questions).
    type: str
    choices: [present, absent, asked]
    default: present
  unit:
    description: The systemd unit, with its suffix.
    type: str
    required: true
  database:
    description: An SQLite database that another release migrates when it first starts. It is copied while the service
      is stopped, and put back with the old release.
    type: path
  hints:
    description: What a line of the journal means to whoever reads of a failed start, by a regular expression for it.
    type: dict
    default: {}
  timeout:
    description: For how long to wait for the service, in seconds. The stop and the start of a restart count, too.
    type: float
    default: 60
  watch:
    description: For how long a service that was started, restarted or reloaded is looked at after it was ready, in
      seconds. If it dies meanwhile, what was live before is put back.
    type: float
    default: 6
  adopt:
    description: Whether to take over files, links and a unit that somebody else put there. Copies stay in
      C(/var/lib/emr-monitoring-NAME-before). If the service does not work, what was there before runs again.
    type: bool
    default: false
  state_dir:
    description: The folder of the manifests on the node.
    type: path
    default: /var/lib/ansible-template-tree
  payload:
    description: Internal. What the action plugin of the same name has checked and rendered.
    type: str
  archives:
    description: Internal. Paths of archives on the node, by the label of their release, set by the action plugin.
    type: dict
    default: {}
  job:
    description: Internal. The installation to wait for, set by the action plugin.
    type: str
attributes:
  check_mode:
    description: Tells what would change and which actions would be taken. The checkers judge the files, where their
      program is on the node. Grafana is not asked anything, since it counts wrong passwords.
    support: full
  diff_mode:
    support: full
requirements:
  - python >= 3.9 and systemd >= 252 on the node
author: [emr-monitoring contributors]
"""

EXAMPLES = r"""
- name: Run Prometheus
  emr.monitoring.service:
    name: prometheus
    unit: prometheus.service
    release:
      version: "3.13.2"
      url: https://mirror.example.com/prometheus-3.13.2.linux-amd64.tar.gz
      sha256: "{{ prometheus_sha256 }}"
      root: /opt/prometheus/releases
      current: /opt/prometheus/current
    trees:
      config: {src: config, dest: /etc/prometheus, group: prometheus, mode: "0640", on_change: reload}
      unit: {src: unit, dest: /etc/systemd/system, shared: true, on_change: restart}
    links: {/opt/prometheus/current: releases/3.13.2}
    checks:
      - [/opt/prometheus/releases/3.13.2/promtool, check, config, "{config}/prometheus.yml"]
    ready_url: http://localhost:9090/-/ready
    loaded:
      url: http://localhost:9090/metrics
      metric: prometheus_config_last_reload_success_timestamp_seconds

- name: Remove it again
  emr.monitoring.service:
    name: prometheus
    unit: prometheus.service
    state: absent
    release: {root: /opt/prometheus/releases}
"""

RETURN = r"""
actions:
  description: What was done (in check mode and with O(state=asked), what would be), in this order.
  returned: always
  type: list
  elements: str
  sample: [daemon-reload, reset-failed, enable, start, restart, password, reload]
trees:
  description: What happened to each tree, by its name.
  returned: success
  type: dict
  sample: {config: {changed: [prometheus.yml], removed: [], left: [], live_at: 1795359559.1}}
links:
  description: What happened to the links.
  returned: success
  type: dict
  sample: {changed: [], removed: [], live_at: 1795359000.5}
started_at:
  description: When the main process started, in seconds since the epoch; 0 if it never did.
  returned: success
  type: float
ready_at:
  description: When the service that this run started was ready, in seconds since the epoch; 0 if it started none.
  returned: success
  type: float
loaded_at:
  description: When the service last loaded its configuration, in seconds since the epoch; none if it does not answer.
  returned: success
  type: float
found:
  description: What the answers to O(questions) say.
  returned: success, with questions
  type: dict
  contains:
    problems:
      description: Why the service is not as a run leaves it.
      type: list
    pending:
      description: What it has yet to do by itself, and within how many seconds.
      type: dict
    lines:
      description: What to show, such as a table of targets.
      type: list
    down:
      description: What the service works with that does not work.
      type: list
    not_sent:
      description: What does not take what the service sends.
      type: list
left:
  description: What this module did not make and O(state=absent) left.
  returned: with state=absent
  type: list
  elements: str
"""
RELEASE: dict[str, Any] = {
    "version": {"type": "str"},
    "url": {"type": "str", "no_log": True},
    "sha256": {"type": "str"},
    "root": {"type": "path", "required": True},
    "current": {"type": "path"},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "keep": {"type": "int", "default": 2},
    "fetch": {"type": "str", "choices": ["node", "controller"], "default": "node"},
    "cache_dir": {"type": "path"},
    "timeout": {"type": "int", "default": 60},
    "readers": {"type": "dict"},
    "proxy": {"type": "str", "default": "", "no_log": True},
    "no_proxy": {"type": "list", "elements": "str", "default": []},
}
PLUGIN: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str", "required": True},
    "url": {"type": "str", "required": True, "no_log": True},
    "sha256": {"type": "str", "required": True},
}
TRIAL: dict[str, Any] = {
    "command": {"type": "list", "elements": "str", "required": True},
    "data_dir": {"type": "path", "required": True},
    "ready": {"type": "str", "required": True},
    "omit": {"type": "dict", "default": {}},
}
REMOTE_WRITE: dict[str, Any] = {
    "config": {"type": "path", "required": True},
    "entries": {"type": "list", "elements": "dict", "required": True},
    "environment": {"type": "dict", "default": {}},
    "password_path": {"type": "path", "required": True},
    "must_be_accepted": {"type": "bool", "default": True},
    "lose_unsent": {"type": "bool", "default": False},
}
ADMIN: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "reset": {"type": "list", "elements": "str", "required": True},
    "tree": {"type": "str", "required": True},
    "database": {"type": "path"},
    "attempts": {"type": "int", "default": 5},
}
QUESTIONS: dict[str, Any] = {
    "kind": {"type": "str", "choices": ["prometheus", "grafana", "alertmanager"], "required": True},
    "about": {"type": "dict", "required": True},
    "wait": {"type": "float", "default": 0},
}
INTERNAL = ("payload", "archives", "job")
ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent", "asked"], "default": "present"},
    "unit": {"type": "str", "required": True},
    "release": {"type": "dict", "options": RELEASE},
    "plugins": {"type": "list", "elements": "dict", "options": PLUGIN, "default": []},
    "trees": {"type": "dict", "default": {}},
    "links": {"type": "dict", "default": {}},
    "checks": {"type": "list", "elements": "raw", "default": []},
    "check_timeout": {"type": "int", "default": 60},
    "trial": {"type": "dict", "options": TRIAL},
    "remote_write": {"type": "dict", "options": REMOTE_WRITE},
    "database": {"type": "path"},
    "ready_url": {"type": "str"},
    "loaded": {
        "type": "dict",
        "options": {"url": {"type": "str", "required": True}, "metric": {"type": "str", "required": True}},
    },
    "reload_url": {"type": "str"},
    "url_username": {"type": "str"},
    "url_password": {"type": "str", "no_log": True},
    "certificate_path": {"type": "path"},
    "admin": {"type": "dict", "options": ADMIN},
    "questions": {"type": "dict", "options": QUESTIONS},
    "hints": {"type": "dict", "default": {}},
    "timeout": {"type": "float", "default": 60},
    "watch": {"type": "float", "default": 6},
    "adopt": {"type": "bool", "default": False},
    "state_dir": {"type": "path", "default": "/var/lib/ansible-template-tree"},
    "payload": {"type": "str", "no_log": True},
    "archives": {"type": "dict", "default": {}},
    "job": {"type": "str"},
}
REQUIRED_IF = [("state", "absent", ["release"])]
# What the action plugin checks and puts into the payload.
PACKED = ("release", "plugins", "trees", "links", "checks", "questions", "remote_write")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_together=[("url_username", "url_password")],
        supports_check_mode=True,
    )
    if not module.params["payload"]:
        module.fail_json("service works by its action plugin alone.")
    os.umask(0o022)
    # Where a run begins is the home of the user that it comes by, in which no other user may be: Grafana panics there.
    os.chdir("/")
    module.run_command_environ_update = {"LC_ALL": "C", "SYSTEMD_COLORS": "0"}
    run = ServiceRun(
        module.params, module.run_command, module.check_mode, partial(module.set_default_selinux_context, changed=False)
    )
    try:
        result = getattr(run, module.params["state"])()
    except (ReleaseError, TreeError, NotProvedError, UnitError) as error:
        module.fail_json("\n".join(filter(None, [str(error), getattr(error, "detail", "")])), actions=run.actions)
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if not module._diff:
        result.pop("diff", None)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
