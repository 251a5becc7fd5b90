"""What is checked before a commit: every shell script, and by the same commands as `make lint`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[2]
MAKEFILE = (PROJECT / "Makefile").read_text()


def made(variable: str) -> list[str]:
    """Return the words of a variable of the Makefile."""
    found = re.search(rf"^{variable} := (.*)$", MAKEFILE, re.M)
    assert found, variable
    return found[1].split()


def test_shellcheck_reads_every_shell_script() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, check=True, capture_output=True, text=True)
    files = [PROJECT / name for name in listed.stdout.splitlines() if (PROJECT / name).is_file()]
    scripts = [file for file in files if re.match(rb"#!.*\b(ba|da)?sh\n", file.read_bytes()[:60])]
    assert sorted(str(file.relative_to(PROJECT)) for file in scripts) == sorted(made("SCRIPTS"))


def test_the_hooks_are_what_make_lint_runs_and_nothing_from_elsewhere() -> None:
    (repository,) = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    entries = [hook["entry"].split()[-1] for hook in repository["hooks"]]
    assert [entry for entry in entries if entry.startswith("lint-")] == made("LINTERS")
    assert all(re.search(f"^{linter}: ", MAKEFILE, re.M) for linter in made("LINTERS"))


def test_every_scenario_has_a_target_and_a_port_of_its_own() -> None:
    folders = [path.parent for path in (PROJECT / "molecule").glob("*/molecule.yml")]
    named = {*made("SCENARIOS"), *made("LONG_SCENARIOS"), *re.findall(r"--scenario-name (\w+)", MAKEFILE)}
    assert {folder.name for folder in folders} == named
    # They run beside one another, but for those of one inventory.
    inventories = {(folder / "inventory/hosts.yml").resolve() for folder in folders}
    ports = [port for path in inventories for port in re.findall(r"ansible_port: (\d+)", path.read_text())]
    assert len(set(ports)) == len(ports)
