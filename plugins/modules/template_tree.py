#!/usr/bin/python
"""The node's half of template_tree: compare whole trees of files, check them together, make them live."""

from __future__ import annotations

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emr.monitoring.plugins.module_utils.tree import TreeError, unpack
from ansible_collections.emr.monitoring.plugins.module_utils.tree_live import apply

DOCUMENTATION = r"""
module: template_tree
short_description: Render, check and install all files of a service's configuration as one thing
description:
  - Renders every file of one or more trees on the controller, sends them in one trip, compares them on the
    node, has commands check them together, and makes them live together.
  - Files that an earlier run made and that are no longer rendered are removed. Nothing that a check refuses
    touches the node.
  - A manifest on the node remembers what was made and when each tree's content went live, so that a later
    task can tell whether a service has loaded it.
  - A file or link that no earlier run made is never replaced, unless it holds the same; the task fails before it
    changes anything.
  - Runs as root. Paths are never followed through a symlink inside O(trees.dest).
options:
  name:
    description: Names the manifest. Two tasks never share one.
    type: str
    required: true
  trees:
    description:
      - The trees, by a name of their own (C([a-z][a-z0-9_-]*)). A tree that is no longer listed is removed.
      - With C({}) and no O(links), all that earlier runs made goes, and at last the manifest.
    type: dict
    required: true
    suboptions:
      src:
        description:
          - A folder in the role's C(templates/). Every C(*.j2) file below it is rendered as
            M(ansible.builtin.template) does and loses that suffix; every other file is copied as it is.
        type: str
      contents:
        description:
          - Further files, relative path to text, which is written as it is, never templated again.
          - In place of a text, a dictionary with C(content), the text, and C(shown), the same lines as a diff may show
            them. The content is a secret where they differ; that a line of it changed is shown, with its C(shown).
        type: dict
        default: {}
      dest:
        description:
          - The folder on the node. It is created when it is missing. It must not be a symlink itself.
          - Links among the folders above it are followed when root made them.
        type: path
        required: true
      owner:
        description: The owner of files and folders, a name or a number.
        type: str
        default: root
      group:
        description: The group of files and folders, a name or a number.
        type: str
        default: root
      mode:
        description: The mode of files, a quoted octal number.
        type: str
        default: "0644"
      dir_mode:
        description: The mode of O(trees.dest) and of the folders in it, a quoted octal number.
        type: str
        default: "0755"
      modes:
        description:
          - Exceptions from O(trees.mode), pattern of relative paths to mode. C(*) matches C(/) too. The first
            match counts.
        type: dict
        default: {}
      secret:
        description: Patterns of relative paths whose content no diff and no check's output shows.
        type: list
        elements: str
        default: []
      shared:
        description:
          - V(true) when O(trees.dest) belongs to others too (C(/etc/systemd/system)). Folders that exist keep
            their mode and owner, and RV(trees.left) stays empty.
        type: bool
        default: false
  links:
    description:
      - Symlinks that go live right after the files, path to target. Each is replaced atomically. Folders
        above it are created. A link that is no longer listed is removed.
    type: dict
    default: {}
  checks:
    description:
      - Commands, each a list of words, that must succeed before anything goes live. C({tree}) stands for the
        staged folder of the tree of that name. They run as root, in order, in the first tree's staged folder,
        with C(LC_ALL=C).
      - They are run whenever something differs, in check mode too. In check mode alone, a check whose
        executable is not on the node yet, or that says so with status 127, as timeout(1) does, is skipped with a
        warning.
      - Let the files refer to each other by relative paths, else a check reads what is live.
    type: list
    elements: list
    default: []
  check_timeout:
    description: How long each check may take, in seconds.
    type: int
    default: 60
  state_dir:
    description: The folder of the manifests on the node.
    type: path
    default: /var/lib/ansible-template-tree
  payload:
    description: Filled by the action plugin of the same name; not for use in a task.
    type: str
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: Configure Prometheus
  emr.monitoring.template_tree:
    name: prometheus
    trees:
      config:
        src: config
        contents: "{{ prometheus_rules }}"
        dest: /etc/prometheus
        group: prometheus
        mode: "0640"
        dir_mode: "0750"
        secret: [web.yml]
      unit:
        src: systemd
        dest: /etc/systemd/system
        shared: true
    links:
      /mnt/prometheus/current: releases/3.13.2
    checks:
      - [/mnt/prometheus/releases/3.13.2/promtool, check, config, "{config}/prometheus.yml"]
  register: __prometheus_files

- name: Remove all of it again
  emr.monitoring.template_tree:
    name: prometheus
    trees: {}
"""

RETURN = r"""
trees:
  description: What happened to each tree, by its name. A tree that went away is listed once, by that run.
  returned: success
  type: dict
  contains:
    changed:
      description: Relative paths that were written. A folder whose mode or owner was set ends in C(/).
      type: list
      elements: str
    removed:
      description: Files that are no longer rendered, relative to C(dest), or absolute when C(dest) has moved.
      type: list
      elements: str
    left:
      description: Files in C(dest) that this task did not make, at most 50. Absolute for a tree that went away,
        whose folders they keep.
      type: list
      elements: str
    live_at:
      description: When the tree's present content went live, in seconds since the epoch by the node's clock.
      type: float
links:
  description: The links that were C(changed) and C(removed), and C(live_at), 0 if there never were any.
  returned: success
  type: dict
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "trees": {"type": "dict"},
            "links": {"type": "dict"},
            "checks": {"type": "list", "elements": "list"},
            "check_timeout": {"type": "int"},
            "state_dir": {"type": "path", "default": "/var/lib/ansible-template-tree"},
            "payload": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    if not module.params["payload"]:
        module.fail_json(msg="template_tree works by its action plugin: put plugins/action on action_plugins' path")
    os.umask(0o022)
    try:
        result = apply(
            unpack(module.params["payload"]),
            module.params["state_dir"],
            module.check_mode,
            lambda path: module.set_default_selinux_context(path, False),
        )
    except TreeError as err:
        module.fail_json(msg="\n".join(filter(None, [str(err), err.detail])))
    for warning in result.pop("warnings"):
        module.warn(warning)
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
