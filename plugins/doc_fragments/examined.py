"""What the documentation of the modules says of what is tried and asked before anything goes live."""

from __future__ import annotations


class ModuleDocFragment:
    """Ansible's entry point."""

    DOCUMENTATION = r"""
options:
  trial:
    description:
      - How to try a start before a running service has to stop. The program runs for a moment with the staged files,
        in the sandbox, under the user and the limits of the staged unit, with an empty folder of data, and in a
        network of its own, so that nothing that it does gets out.
    type: dict
    suboptions:
      command:
        description: Program and arguments, as the unit has them but for an address that only the node has.
        type: list
        elements: str
        required: true
      data_dir:
        description: The folder of its data, in whose place it gets an empty one.
        type: path
        required: true
      ready:
        description: What the program writes once it is ready.
        type: str
        required: true
      omit:
        description: A C(file) and the C(section) of that YAML file that the program does not see, since it would need a
          network.
        type: dict
        default: {}
  remote_write:
    description:
      - Where Prometheus sends metrics to besides. An endpoint whose entry is about to change, or a file that it names,
        is first asked with its login, from the node, whether it takes a write request, which holds nothing.
      - A change is refused that would restart Prometheus, or give an endpoint another queue, while that is behind.
    type: dict
    suboptions:
      config:
        description: The path of Prometheus' configuration.
        type: path
        required: true
      entries:
        description: Its remote_write as it is rendered, each entry beginning with its name, all secrets in files.
        type: list
        elements: dict
        required: true
      environment:
        description: What is set for the process of Prometheus.
        type: dict
        default: {}
      password_path:
        description: A file on the node with the password that the service has so far.
        type: path
        required: true
      must_be_accepted:
        description: Whether an endpoint that cannot be reached is refused, too; else it is said.
        type: bool
        default: true
      lose_unsent:
        description: Whether what has not been sent may be lost.
        type: bool
        default: false
"""
