"""The whole scenario runs on the node with Python 3.9, as on EMR: other modules fail in it than in the newer ones."""

from __future__ import annotations

import re

from testinfra.host import Host

from tests.integration.node import Playbook

INTERPRETER = "/usr/bin/python3.9"


def test_all_that_runs_on_the_node_runs_with_emrs_python(host: Host, playbook: Playbook) -> None:
    assert host.check_output(f"{INTERPRETER} --version").startswith("Python 3.9.")
    done = playbook("site.yml", "-vvv")
    assert done.returncode == 0, done.stdout
    sent = re.findall("SSH: EXEC (.*)", done.stdout)
    assert set(re.findall(r"/[\w/.-]*/python[\d.]*", "\n".join(sent))) == {INTERPRETER}
