"""What the action plugin of the same name does; it runs on the controller alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: generated_secrets
short_description: Keep the generated secrets of a node in a folder of the controller
description:
  - Generates secrets, takes them over from the node that uses them, or removes them. No value is ever returned.
  - Each secret is a file with the name of its variable and mode 0600, in a folder that is made with mode 0700. The
    lookup P(generated_secret#lookup) reads it.
  - Asks the node for nothing but with O(state=from_node).
options:
  folder:
    description: The folder on the controller.
    type: str
    required: true
  state:
    description:
      - V(present) generates what is not known, of letters and digits. What exists stays, and two runs at once get the
        same.
      - V(from_node) writes what the node holds, in place of what is there. That is kept beside it, with
        C(.previous) at the end of its name, and a number where that is taken. A secret that
        the inventory sets itself is left alone.
      - V(absent) removes the files of those of O(secrets) that are of O(services). The folder goes
        once it is empty.
    type: str
    choices: [present, from_node, absent]
    default: present
  secrets:
    description: The secrets.
    type: list
    elements: dict
    required: true
    suboptions:
      variable:
        description: The variable, which is the name of the file too.
        type: str
        required: true
      length:
        description: How many letters and digits to generate.
        type: int
        default: 32
      known:
        description: Whether the controller has it, in its file or from the inventory.
        type: bool
        default: true
      needed:
        description: Whether the service that it is for runs on this node at all.
        type: bool
        default: true
      path:
        description: The file on the node that holds it.
        type: str
      kept:
        description: The file on the node that holds it while the service is uninstalled and its data is still there.
        type: str
      used_by:
        description: Not used here; see M(emr.monitoring.node_check).
        type: str
      sha256:
        description: Not used here; see M(emr.monitoring.node_check).
        type: str
  services:
    description: The services whose secrets V(state=absent) removes. The names of their variables begin with it.
    type: list
    elements: str
    default: []
  replaced:
    description: Variables whose secret V(state=from_node) leaves as the controller has it.
    type: list
    elements: str
    default: []
  certificate:
    description:
      - Whether V(state=from_node) takes over the self-signed certificate of the node and its key, too, or
        V(state=absent) removes that of P(self_signed_certificate#lookup) if none of O(secrets) is left in the folder.
    type: bool
    default: false
  self_provisioned:
    description: The folder on the node where a node that provisioned itself keeps its secrets.
    type: str
    default: /etc/emr-monitoring/secrets
attributes:
  check_mode:
    description: Says what would change, and asks the node for nothing.
    support: full
author: [emr-monitoring contributors]
"""

EXAMPLES = r"""
- name: Generate a password
  emr.monitoring.generated_secrets:
    folder: secrets/node
    secrets:
      - {variable: prometheus_password, known: "{{ prometheus_password is defined }}"}

- name: Take it over from the node
  emr.monitoring.generated_secrets:
    folder: secrets/node
    state: from_node
    secrets:
      - {variable: prometheus_password, path: /etc/prometheus/credentials/password}
"""

RETURN = r"""
secrets:
  description: Names of the files that were written or removed.
  returned: success
  type: list
  elements: str
left:
  description: With O(state=absent), the paths of what lies in the folder and is not the project's.
  returned: success
  type: list
  elements: str
"""
