"""A storage for metrics beside the local node: three Cortex with replication 3, behind HAProxy with TLS and a login.

Cortex is TESTBED_CORTEX_ARCHIVE (a .tar.gz whose top folder holds the program), or built from engine/go.mod; HAProxy is
Debian's.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tarfile
from pathlib import Path

import go_build
import testbed
from progress import say

ENGINE = testbed.TESTBED / "engine"
PROGRAM = "github.com/cortexproject/cortex/cmd/cortex"
BUILT = testbed.CACHE / "cortex"
HOST = "metrics"
# Who may write, as the scenario's inventory has it.
LOGIN = ("emr", "right-password")
INSTANCES = (1, 2, 3)
CONFIGURE = f"""
set -eu
if ! [ -e /etc/haproxy/pair.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 30 -subj /CN={HOST} \\
        -addext subjectAltName=DNS:{HOST} -keyout /etc/haproxy/key.pem -out /etc/haproxy/certificate.pem
    cat /etc/haproxy/certificate.pem /etc/haproxy/key.pem >/etc/haproxy/pair.pem
fi
systemctl daemon-reload
systemctl start cortex@1 cortex@2 cortex@3
systemctl restart haproxy
"""


def certificate_path(name: str) -> Path:
    """Return where the certificate of the storage beside a node lies on this machine."""
    return testbed.CACHE / f"{name}-metrics.pem"


def ensure_cortex() -> Path:
    """Have the program; return the folder that holds it.

    :raises TestbedError: it cannot be had
    """
    chosen = os.environ.get("TESTBED_CORTEX_ARCHIVE")
    # Another archive has another folder: one that a container has mounted stays as it is.
    folder = testbed.CACHE / f"cortex-{hashlib.sha256(Path(chosen).read_bytes()).hexdigest()[:12]}" if chosen else BUILT
    if folder.exists():
        return folder
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    if chosen:
        with tarfile.open(chosen) as archive:
            member = next(each for each in archive if each.name.endswith("/cortex") and each.isfile())
            member.name = "cortex"
            archive.extract(member, part, filter="data")
    else:
        go_build.build(ENGINE, PROGRAM, part / "cortex", "-tags", "netgo,slicelabels")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return folder


def ensure_image() -> str:
    """Have the image of a node with HAProxy; return its name."""
    base = testbed.ensure_image()
    image = f"emr-testbed-haproxy:{base.rpartition(':')[2]}"
    if not testbed.succeeds("docker", "image", "inspect", image):
        say("adding Debian's HAProxy to the node's image (a minute)")
        container = f"{image.replace(':', '-')}-build"
        testbed.run("docker", "rm", "--force", container)
        install = (
            "apt-get -qq -o Acquire::Check-Valid-Until=false update && DEBIAN_FRONTEND=noninteractive "
            "apt-get -qq install --yes --no-install-recommends haproxy openssl && rm -rf /var/lib/apt/lists/*"
        )
        testbed.run("docker", "run", f"--name={container}", base, "sh", "-c", install)
        testbed.run("docker", "commit", container, image)
        testbed.run("docker", "rm", container)
    return image


def create(name: str, ssh_port: int) -> None:
    """Start the storage beside a node, unless it runs, and wait until it takes samples.

    :param name: name of the node; that of the storage's container ends in ``-far``
    :param ssh_port: port of this machine's loopback for ssh to the node; the storage has the following one
    """
    folder = ensure_cortex()
    far = f"{name}-far"
    mounts = [f"{folder}:/opt/cortex:ro"]
    testbed.create(name, ssh_port, (), "bookworm")
    testbed.create(far, ssh_port + 1, (), "bookworm", java_image=ensure_image(), hostname=HOST, mounts=mounts)
    for file, place in (
        ("cortex.yaml", "/etc/cortex.yaml"),
        ("cortex@.service", "/etc/systemd/system/cortex@.service"),
        ("haproxy.cfg", "/etc/haproxy/haproxy.cfg"),
    ):
        text = (ENGINE / file).read_text().format(user=LOGIN[0], password=LOGIN[1])
        testbed.run("docker", "exec", "--interactive", far, "sh", "-c", f"cat >{place}", input=text)
    testbed.run("docker", "exec", far, "sh", "-c", CONFIGURE)
    certificate_path(name).write_text(testbed.run("docker", "exec", far, "cat", "/etc/haproxy/certificate.pem") + "\n")
    ready = "curl --fail --silent --insecure --user {}:{} https://localhost/ready".format(*LOGIN)
    testbed.wait_for(lambda: testbed.succeeds("docker", "exec", far, "sh", "-c", ready), "Cortex' first answer", 120)
    say("three Cortex are ready")


def destroy(name: str) -> None:
    """Remove the storage and its node."""
    for node in (name, f"{name}-far"):
        testbed.destroy(node)
    certificate_path(name).unlink(missing_ok=True)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    creating = commands.add_parser("create", help="start a node and the storage, and wait until it is ready")
    creating.add_argument("name", type=testbed.node_name)
    creating.add_argument("--ssh-port", type=int, required=True)
    commands.add_parser("destroy", help="remove both").add_argument("name", type=testbed.node_name)
    arguments = parser.parse_args()
    return testbed.one_at_a_time(lambda: carry_out(arguments))


def carry_out(arguments: argparse.Namespace) -> None:
    """Start or remove the storage."""
    if arguments.command == "create":
        create(arguments.name, arguments.ssh_port)
    elif testbed.may_have_nodes():
        destroy(arguments.name)


if __name__ == "__main__":
    sys.exit(main())
