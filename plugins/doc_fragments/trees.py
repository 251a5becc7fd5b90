"""What the documentation of the modules says of trees of files."""

from __future__ import annotations


class ModuleDocFragment:
    """Ansible's entry point."""

    DOCUMENTATION = r"""
options:
  trees:
    description:
      - The trees, by a name of their own (C([a-z][a-z0-9_-]*)). A tree that is no longer listed is removed.
    type: dict
    default: {}
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
      kept:
        description: Whether what is no longer rendered goes only once the service has loaded what is live, since it
          reads it until then.
        type: bool
        default: false
      on_change:
        description:
          - What a change of the tree calls for. V(restart) and V(reload) are due as long as the service runs, or has
            loaded its configuration, since before the tree went live; an interrupted run is made up for by the next
            one.
        type: str
        choices: [restart, reload, nothing]
        default: nothing
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
      - One can also be a mapping with C(command); C(about), the sentence that an error says in place of the command;
        and C(tolerated), a regular expression, with which in its output it may fail.
    type: list
    elements: raw
    default: []
  check_timeout:
    description: How long each check may take, in seconds.
    type: int
    default: 60
"""
