"""The node of this scenario is what it is said to be; the tests of the default one run beside this."""

from __future__ import annotations

from testinfra.host import Host


def test_the_node_has_the_newer_systemd_and_python(host: Host) -> None:
    assert host.check_output("systemctl --version").startswith("systemd 257 ")
    assert host.check_output("/usr/bin/python3 --version").startswith("Python 3.13.")
