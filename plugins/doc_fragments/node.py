"""What the documentation of node_check says of what it looks at."""

from __future__ import annotations


class ModuleDocFragment:
    """Ansible's entry point."""

    DOCUMENTATION = r"""
options:
  ports:
    description: The TCP ports that the services are going to listen on. One that a process outside the
      service's own unit listens on already, at whichever address, is a problem.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: The port's number.
        type: int
        required: true
      unit:
        description: The systemd unit that may hold the port, with its suffix.
        type: str
        required: true
      variable:
        description: The variable to change for another port. That of the address is named alike.
        type: str
        required: true
      address:
        description: The address or name to listen on. One that the node does not have is a problem.
        type: str
      follows:
        description: Whether the address is that of C(monitoring_listen_address).
        type: bool
        default: false
      needed:
        description: Whether the service runs on this node at all.
        type: bool
        default: true
  space:
    description: How much free disk space the services need. What is asked of one file system is added up.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the space is needed. It does not have to exist yet.
        type: path
        required: true
      megabytes:
        description: How much must be free, in MiB, not counting what is reserved for root.
        type: int
        required: true
      variable:
        description: The variable to change for another place.
        type: str
        required: true
      unless:
        description: A path. If it exists, the space has been used already and nothing more is needed.
        type: path
      needed:
        description: Whether the service runs on this node at all.
        type: bool
        default: true
  folders:
    description:
      - Folders that root makes. One that lies below a folder of a service's user is a problem, since that user
        could put a link to anything in its place.
      - So is a folder for such a user that holds what belongs to another one.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The folder. It does not have to exist yet.
        type: path
        required: true
      owner:
        description: The user of a service that the folder is for. It does not have to exist yet.
        type: str
      variable:
        description: The variable to change for another place.
        type: str
        required: true
  services:
    description:
      - What the services are made of. Where nothing on the node says that this project installed a service and yet its
        unit, its user or one of its files is there, it belongs to somebody, which is a problem.
      - So is a folder of a service that is another one's too, or lies in it.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the service, of its user, and of its manifest of M(emr.monitoring.template_tree).
        type: str
        required: true
      unit:
        description: Its systemd unit, with its suffix.
        type: str
        required: true
      releases:
        description: The folder of its releases.
        type: path
        required: true
      folders:
        description: Its folders on the node, by the variable that names them.
        type: dict
        required: true
      configuration:
        description: The folder of its configuration.
        type: path
        required: true
      files:
        description: The files in O(services.configuration) that it cannot do without.
        type: list
        elements: str
        required: true
      needed:
        description: Whether the service runs on this node at all.
        type: bool
        default: true
  secrets:
    description:
      - The secrets that are generated once for this node. One that the node has and the controller has not is a
        problem, since another one would be generated; so is a key of a database that is not the one of the node.
      - They are compared on the node. None is returned.
    type: list
    elements: dict
    default: []
    suboptions:
      variable:
        description: The variable that holds the secret.
        type: str
        required: true
      path:
        description: The file on the node that holds it, too.
        type: path
        required: true
      kept:
        description: The file on the node that holds it while the service is uninstalled and its data is still there.
        type: path
      used_by:
        description: A file that exists where the secret is in use, even if O(secrets.path) is gone.
        type: path
      known:
        description: Whether the controller has it.
        type: bool
        default: true
      sha256:
        description: The digest of what the controller has, for a key that must not change.
        type: str
      length:
        description: Not used here; see M(emr.monitoring.generated_secrets).
        type: int
        default: 32
      needed:
        description: Whether the service runs on this node at all.
        type: bool
        default: true
  secrets_dir:
    description: Where the controller keeps the secrets, for the messages.
    type: str
    default: ""
  secrets_replaced:
    description: Variables whose secret on the node gives way to another one on purpose.
    type: list
    elements: str
    default: []
  self_provisioned:
    description: Where a node that provisioned itself keeps its secrets, each in a file with the name of its variable.
    type: path
    default: /etc/emr-monitoring/secrets
"""
