"""What the documentation of the modules says of a release."""

from __future__ import annotations


class ModuleDocFragment:
    """Ansible's entry point."""

    DOCUMENTATION = r"""
options:
  release:
    description:
      - The upstream release to run, a C(.tar.gz) whose checksum is pinned. It is unpacked into C({root}/{version}/),
        without the archive's top folder, by one rename after all of it is on the disk. What a killed run left behind is
        removed by the next one, and two runs at once wait for one another.
      - Only content below the archive's top folder is accepted. Absolute paths, C(..), links that leave the tree and
        devices are refused; owners, setuid bits and group or world write permissions are dropped.
      - With O(state=absent) only O(release.root) is needed.
    type: dict
    suboptions:
      version:
        description: Version, which is the name of the directory below O(release.root).
        type: str
      url:
        description:
          - Where the archive is. C(http://), C(https://) or C(file://). A redirect from C(https://) leads to
            C(https://), or is refused.
          - C(file://) is a file on the node with O(release.fetch=node) and on the controller with
            O(release.fetch=controller).
          - Credentials and query strings are used, but never shown nor stored, nor sent to the host of a redirect.
        type: str
      sha256:
        description:
          - SHA-256 of the archive, 64 hexadecimal digits. It is verified on the node before unpacking, and once more of
            the bytes that were unpacked, before they go live.
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
          - Directory on the controller that keeps the archives of O(release.fetch=controller), which needs it unless
            O(release.url) is a file. An archive that lies there under the base name of O(release.url) and has the right
            checksum is not downloaded.
        type: path
      timeout:
        description: Seconds without a byte after which a download counts as interrupted.
        type: int
        default: 60
      proxy:
        description:
          - The proxy through which whoever downloads the archive gets it, C(http://), with a login where it wants one,
            which is never shown. Empty is what the environment says, if anything.
        type: str
        default: ""
      no_proxy:
        description: Hosts, domains and addresses that are asked without O(release.proxy).
        type: list
        elements: str
        default: []
      readers:
        description:
          - Who can read the data that is there. Where the version in use is C(written_by) or newer, a version that is
            older than C(read_by) is refused. C(data) is the folder, for the error.
        type: dict
  plugins:
    description:
      - Plugins of the program, each a C(.zip) or C(.tar.gz) whose checksum is pinned, which are fetched and unpacked as
        O(release) is, into C(plugins/{name}/{version}) beside the folder of the releases. One that is no longer listed
        is removed once the service works without it.
      - A folder that does not hold the plugin and the version is never left.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The id of the plugin.
        type: str
        required: true
      version:
        description: Its version.
        type: str
        required: true
      url:
        description: Where its archive is, see O(release.url).
        type: str
        required: true
      sha256:
        description: SHA-256 of the archive, 64 hexadecimal digits.
        type: str
        required: true
"""
