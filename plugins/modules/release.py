#!/usr/bin/python
"""Install one upstream release archive, wholly or not at all."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emr.monitoring.plugins.module_utils.release import ReleaseError, parse, shown
from ansible_collections.emr.monitoring.plugins.module_utils.release_install import (
    in_use,
    install,
    installed_at,
    is_installed,
    remove,
)

DOCUMENTATION = r"""
---
module: release
short_description: Install one upstream release archive, wholly or not at all
description:
  - Unpacks a C(.tar.gz) whose checksum is pinned into C({root}/{version}/), without the archive's top folder.
  - The directory appears by one rename, after its content is complete and on the disk. What a killed run left
    behind is removed by the next one, and two runs at once wait for one another.
  - A release that is already there costs one trip to the node and no download.
  - The link that says which version is in use is not touched. It is switched by whoever checked the
    configuration against the new release.
  - Only content below the archive's top folder is accepted. Absolute paths, C(..), links that leave the tree
    and devices are refused; owners, setuid bits and group or world write permissions are dropped.
options:
  name:
    description:
      - Name of the program. Errors name the role's variables by it, as in C(<name>_url) and C(<name>_checksums).
    type: str
    required: true
  state:
    description:
      - V(absent) removes all versions of O(name) below O(root), and what interrupted runs left there; then O(root),
        where nothing else is in it. What this module did not make stays.
    type: str
    choices: [present, absent]
    default: present
  version:
    description: Version, which is the name of the directory below O(root). Needed with O(state=present).
    type: str
  url:
    description:
      - Where the archive is. C(http://), C(https://) or C(file://). A redirect from C(https://) leads to
        C(https://), or is refused.
      - C(file://) is a file on the node with O(fetch=node) and on the controller with O(fetch=controller).
      - Credentials and query strings are used, but never shown nor stored, nor sent to the host of a redirect.
      - Needed with O(state=present).
    type: str
  sha256:
    description:
      - SHA-256 of the archive, 64 hexadecimal digits. It is verified on the node before unpacking, and once more of
        the bytes that were unpacked, before they go live. Needed with O(state=present).
    type: str
  root:
    description: Absolute path of the directory that holds the versions of this program and nothing else.
    type: path
    required: true
  current:
    description:
      - Link that says which version is in use. Its target is never pruned; the link itself is not touched.
      - The default is C({root}/current).
    type: path
  exclude:
    description:
      - Shell patterns of what not to unpack, matched against the path inside the archive without its top
        folder. C(*) matches slashes too. A pattern that matches a directory excludes all that is below it.
      - Changing the list installs the release anew.
    type: list
    elements: str
    default: []
  keep:
    description:
      - Number of versions to keep on the disk, including this one. After an install the others are removed.
    type: int
    default: 2
  fetch:
    description:
      - Who downloads the archive. With V(controller), the nodes need no access to the internet.
    type: str
    choices: [node, controller]
    default: node
  cache_dir:
    description:
      - Directory on the controller that keeps the archives of O(fetch=controller), which needs it unless
        O(url) is a file. An archive that lies there under the base name of O(url) and has the right checksum
        is not downloaded.
    type: path
  timeout:
    description: Seconds without a byte after which a download counts as interrupted.
    type: int
    default: 60
  archive:
    description:
      - Internal. Path of the archive on the node, set by the action plugin of the same name; empty asks
        only whether the release is installed.
    type: path
attributes:
  check_mode:
    description: Says whether the release would be installed; downloads and writes nothing.
    support: full
requirements:
  - python >= 3.9 on the node
author:
  - emr-monitoring
"""

EXAMPLES = r"""
- name: Install Prometheus
  emr.monitoring.release:
    name: prometheus
    version: "3.5.0"
    url: https://mirror.example.com/prometheus-3.5.0.linux-amd64.tar.gz
    sha256: "{{ prometheus_sha256 }}"
    root: /opt/prometheus

- name: Install Grafana on a node without internet access
  emr.monitoring.release:
    name: grafana
    version: "12.1.0"
    url: https://mirror.example.com/grafana-12.1.0.linux-amd64.tar.gz
    sha256: "{{ grafana_sha256 }}"
    root: /opt/grafana
    exclude: [docs, "*.js.map"]
    fetch: controller
    cache_dir: "{{ playbook_dir }}/.cache"

- name: Remove what these tasks installed
  emr.monitoring.release:
    name: grafana
    root: /opt/grafana
    state: absent
"""

RETURN = r"""
path:
  description: Directory of the release, C({root}/{version}).
  type: str
  returned: success with state=present
  sample: /opt/prometheus/3.5.0
removed:
  description: Versions that were removed because of O(keep); with O(state=absent) all that was removed.
  type: list
  elements: str
  returned: success
  sample: ["3.3.1"]
left:
  description: With O(state=absent), the paths of what this module did not make.
  type: list
  elements: str
  returned: success with state=absent
  sample: [/opt/prometheus/notes.txt]
sha256:
  description: SHA-256 of the archive.
  type: str
  returned: success
  sample: e811827af26ed5b1e7a4e9a9e0d1b2e8ad0a4a1aa9b3b8ad1b0b3a3e8b9d5a6e
in_use:
  description: Version that the link O(current) points to, which is empty on a bare node.
  type: str
  returned: success
  sample: "3.4.0"
installed_at:
  description:
    - When the release was unpacked, in seconds since the epoch. A process that started earlier runs files that
      are gone, where an archive with another checksum took the place of the same version.
  type: float
  returned: success
  sample: 1795359559.12
"""
ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
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
    "archive": {"type": "path"},
}

REQUIRED_IF = [("state", "present", ["version", "url", "sha256"])]


def _remove(module: AnsibleModule) -> None:
    """Run the module with state=absent."""
    try:
        gone, left = remove(module.params["name"], module.params["root"], module.check_mode)
    except OSError as error:
        module.fail_json(msg=f"{error.filename} cannot be removed: {error.strerror}. Run the task with become.")
    module.exit_json(changed=bool(gone), removed=gone, left=left)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=REQUIRED_IF, supports_check_mode=True)
    if module.params["state"] == "absent":
        _remove(module)
    if module.params["url"] == shown(module.params["url"]):
        # It holds no login and no signature: errors and the most talkative run show it.
        module.no_log_values.discard(module.params["url"])
    try:
        release = parse(module.params)
        removed: list[str] = []
        changed = not is_installed(release)
        if changed and not module.check_mode and release.archive != "":
            pruned = install(release)
            changed, removed = pruned is not None, pruned or []
        module.exit_json(
            changed=changed,
            path=release.path,
            removed=removed,
            sha256=release.sha256,
            in_use=in_use(release),
            installed_at=installed_at(release),
        )
    except ReleaseError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
