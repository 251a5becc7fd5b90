"""The local node: a Docker container that looks like an EMR primary node, and the archives it installs.

``archives``, ``browser``, ``create NAME`` and ``destroy NAME`` are all there is. Whatever is missing is made: the
Docker engine and the browser (on Debian and Ubuntu, as root), the node's image, the release archives and the server
that hands them out.
Everything that is kept lies in the project's folder ``.cache``.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

TESTBED = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTBED))

import archives  # noqa: E402
import progress  # noqa: E402
from progress import say  # noqa: E402

PROJECT = TESTBED.parent.parent
CACHE = PROJECT / ".cache" / "testbed"
# Of this checkout alone: another one beside it serves archives of its own.
CHECKOUT = hashlib.sha256(str(PROJECT).encode()).hexdigest()[:8]
NETWORK = f"emr-testbed-{CHECKOUT}"
ARCHIVE_SERVER = f"emr-archives-{CHECKOUT}"
GENERATED_VARS = TESTBED / "group_vars" / "testbed" / "generated.yml"
# By suite: the Debian that a node can be, its Python, and what is done to its tree.
SYSTEMS = {
    "bookworm": ("Debian 12", "3.11", ("customize.sh", "python3.9.sh")),
    "trixie": ("Debian 13", "3.13", ("customize.sh",)),
}
NODE_PACKAGES = (
    "ca-certificates,curl,dbus,iproute2,openssh-server,procps,python3,python3-venv,python3-yaml,"
    "sudo,systemd,systemd-sysv"
)
# What systemd needs to be PID 1 with every sandbox of the units working, without --privileged.
NODE_OPTIONS = (
    "--cap-add=SYS_ADMIN",
    "--cap-add=SYS_PTRACE",
    # Since systemd 257 a network of a unit's own is none where its loopback cannot be set up, and nothing fails.
    "--cap-add=NET_ADMIN",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
    "--tmpfs=/run",
    "--tmpfs=/tmp",
    # As on a host: Docker lets everybody listen on any port, and leaves the loopback without IPv6.
    "--sysctl=net.ipv4.ip_unprivileged_port_start=1024",
    "--sysctl=net.ipv6.conf.lo.disable_ipv6=0",
)
NODE_COMMAND = ("sh", "-c", "mount --make-rshared / && exec /lib/systemd/systemd")


class TestbedError(Exception):
    """Something that the reader has to mend; the message says what and how."""


def patiently(what: str, *command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command that can take long, and say what it waits for.

    :raises TestbedError: the command failed; the message holds the end of what it printed
    """
    try:
        progress.run(what, *map(str, command), env=env)
    except subprocess.CalledProcessError as error:
        raise TestbedError(f"{what} failed:\n{error.output}") from error


def run(*command: str | Path, **options: object) -> str:
    """Run a command and return its output.

    :raises TestbedError: the command failed; the message holds what it printed
    """
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise TestbedError(f"`{' '.join(map(str, command))}` failed:\n{done.stderr.strip() or done.stdout.strip()}")
    return str(done.stdout).strip()


def succeeds(*command: str | Path) -> bool:
    """Tell whether a command exits with 0."""
    return subprocess.run([str(c) for c in command], capture_output=True, check=False).returncode == 0


def wait_for(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Poll until a condition holds.

    :raises TestbedError: it does not hold within ``seconds``
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TestbedError(f"{what} did not happen within {seconds:.0f} s.")
        time.sleep(0.2)


def need(program: str, package: str) -> None:
    """Install a Debian package where a program is missing.

    :raises TestbedError: the package cannot be installed by this user on this system
    """
    if shutil.which(program):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise TestbedError(
            f"{program} is missing. On Debian or Ubuntu install the package {package} (or run this as root); "
            "elsewhere install a Docker engine, mmdebstrap and, for `make browser`, Chromium."
        )
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    patiently(f"looking for {package} among Debian's packages", "apt-get", "update", env=environment)
    install = ("apt-get", "install", "--yes", "--no-install-recommends", package)
    patiently(f"installing {package}", *install, env=environment)


def ensure_engine() -> None:
    """Make a Docker engine answer.

    :raises TestbedError: none runs and this user cannot start one
    """
    if shutil.which("docker") and succeeds("docker", "info"):
        return
    if shutil.which("docker") and not shutil.which("dockerd") and not shutil.which("apt-get"):
        raise TestbedError("No Docker engine answers. Start Docker (`docker info` must work) and try again.")
    need("dockerd", "docker.io")
    need("docker", "docker.io")
    need("iptables", "iptables")
    if os.geteuid() != 0:
        raise TestbedError("The Docker engine does not answer this user. Start it, and join the group docker.")
    say("starting the Docker engine")
    if Path("/run/systemd/system").is_dir():
        run("systemctl", "start", "docker")
    else:
        with (CACHE / "dockerd.log").open("ab") as log:
            subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True)
    wait_for(lambda: succeeds("docker", "info"), "The Docker engine's first answer", 60)


def may_have_nodes() -> bool:
    """Tell whether there may be nodes to remove.

    :raises TestbedError: the engine that has them does not run, and this user cannot start it
    """
    if not shutil.which("docker"):
        return False
    # A node that outlives its engine would be taken for a new one.
    ensure_engine()
    return True


def ensure_image(suite: str = "bookworm") -> str:
    """Build the image of a node unless it is there.

    :param suite: one of SYSTEMS
    :returns: its name, which changes with whatever goes into it
    """
    system, python, hooks = SYSTEMS[suite]
    parts = sorted(p for folder in ("node", "demo") for p in (TESTBED / folder).glob("*") if p.is_file())
    digest = hashlib.sha256(NODE_PACKAGES.encode())
    for part in parts:
        digest.update(part.name.encode() + part.read_bytes())
    image = f"emr-testbed:{suite}-{digest.hexdigest()[:12]}"
    if succeeds("docker", "image", "inspect", image):
        return image
    need("mmdebstrap", "mmdebstrap")
    wheels = CACHE / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    machine = os.uname().machine
    patiently(
        "downloading the Python packages of the demo services",
        sys.executable, "-m", "pip", "download", "-vv", "--only-binary=:all:", f"--python-version={python}",
        f"--platform=manylinux2014_{machine}", f"--platform=manylinux_2_17_{machine}",
        f"--platform=manylinux_2_28_{machine}", "--require-hashes", f"--dest={wheels}",
        f"--requirement={TESTBED / 'demo' / 'requirements.txt'}",
    )  # fmt: skip
    tree = CACHE / "node.tar"
    patiently(
        f"building the node's image from {system} (a minute)",
        "mmdebstrap", "--variant=minbase", f"--include={NODE_PACKAGES}",
        f"--customize-hook=copy-in {TESTBED / 'demo'} /opt",
        f"--customize-hook=copy-in {wheels} /opt/demo",
        *(f"--customize-hook={TESTBED / 'node' / hook}" for hook in hooks), suite, tree,
    )  # fmt: skip
    run("docker", "import", tree, image)
    tree.unlink()
    return image


def ensure_archives() -> str:
    """Have the release archives, and the variables that point the roles at them.

    :returns: the name of the node's image
    """
    ensure_engine()
    image = ensure_image()
    variables = archives.ensure(CACHE / "archives", image, say)
    settings = {
        "testbed_cache": str(CACHE),
        "testbed_archive_server": ARCHIVE_SERVER,
        "ansible_ssh_private_key_file": str(CACHE / "ssh_key"),
        **variables,
    }
    # Whole at any time: the runs of other scenarios read it.
    part = CACHE / "generated.yml.part"
    part.write_text(
        "---\n# Made by the test bed: its folder, its ssh key, and the archives with their checksums.\n"
        + yaml.safe_dump(settings, sort_keys=False)
    )
    part.replace(GENERATED_VARS)
    return image


def ensure_archive_server(image: str) -> None:
    """Serve the archives of this checkout to the nodes."""
    if not succeeds("docker", "network", "inspect", NETWORK):
        run("docker", "network", "create", NETWORK)
    if succeeds("docker", "inspect", ARCHIVE_SERVER):
        run("docker", "start", ARCHIVE_SERVER)
        return
    run(
        "docker", "run", "--detach", f"--name={ARCHIVE_SERVER}", f"--network={NETWORK}", "--network-alias=archives",
        f"--volume={CACHE / 'archives'}:/srv:ro", image, "python3", "-m", "http.server", "--directory=/srv", "80",
    )  # fmt: skip


def create(
    name: str,
    ssh_port: int,
    published: Sequence[int],
    suite: str,
    *,
    java_image: str = "",
    hostname: str = "ip-172-31-0-10",
    mounts: Sequence[str] = (),
) -> None:
    """Start a node, unless it runs, and wait until it answers.

    :param name: name of its container
    :param ssh_port: port on the host's loopback for ssh
    :param published: ports of the node that the host's loopback gets too
    :param suite: the Debian that it is, one of SYSTEMS
    :param java_image: the image of a node of a whole cluster, in place of one of its own
    :param hostname: under which the other nodes know it, too
    :param mounts: folders of this machine for it, as Docker writes them
    :raises TestbedError: with what is missing or failed
    """
    ensure_archive_server(ensure_archives())
    image = java_image or ensure_image(suite)
    key = CACHE / "ssh_key"
    if not key.exists():
        need("ssh-keygen", "openssh-client")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "testbed", "-f", key)
    if not succeeds("docker", "inspect", name):
        say(f"starting the node {name}")
        ports = [f"--publish=127.0.0.1:{ssh_port}:22"] + [f"--publish=127.0.0.1:{p}:{p}" for p in published]
        run(
            "docker", "run", "--detach", f"--name={name}", f"--hostname={hostname}", f"--network={NETWORK}",
            *(f"--network-alias={hostname}{domain}" for domain in ("", ".ec2.internal") if java_image),
            *(f"--volume={mount}" for mount in (f"{name}-mnt:/mnt", *mounts)),
            *NODE_OPTIONS, *ports, image, *NODE_COMMAND,
        )  # fmt: skip
    elif run("docker", "inspect", "--format={{.State.Running}}", name) != "true":
        run("docker", "start", name)
    run(
        "docker", "exec", "--interactive", "--user=hadoop", name,
        "sh", "-c", "cat >/home/hadoop/.ssh/authorized_keys", input=key.with_suffix(".pub").read_text(),
    )  # fmt: skip
    # Debian's Alertmanager looks for its templates of messages there, upstream's holds them in its program.
    version = yaml.safe_load(GENERATED_VARS.read_text())["alertmanager_version"]
    run(
        "docker", "exec", name, "sh", "-c",
        "mkdir -p /usr/share/prometheus && ln --symbolic --force --no-dereference "
        f"/mnt/alertmanager/releases/{version}/debian /usr/share/prometheus/alertmanager",
    )  # fmt: skip
    ssh = (
        "ssh", "-i", key, "-p", str(ssh_port), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
        "-o", "UserKnownHostsFile=/dev/null", "hadoop@127.0.0.1", "sudo", "true",
    )  # fmt: skip
    wait_for(lambda: succeeds(*ssh), f"The first answer of {name} over ssh", 60)
    say(f"{name} answers over ssh")


def node_name(name: str) -> str:
    """Return a name that a node can have; it names a folder, too.

    :raises ArgumentTypeError: it is none
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise argparse.ArgumentTypeError(f"{name!r} is no name of a node: write small letters, digits and '-'")
    return name


def destroy(name: str) -> None:
    """Remove a node with its volume, and the archive server once no node is left.

    A stopped node of another checkout goes, too: it is what an interrupted test run left behind.

    :raises TestbedError: the container of that name is somebody else's
    """
    if succeeds("docker", "inspect", name):
        container = json.loads(run("docker", "inspect", name))[0]
        networks = container["NetworkSettings"]["Networks"]
        leftover = not container["State"]["Running"] and any(n.startswith("emr-testbed-") for n in networks)
        if NETWORK not in networks and not leftover:
            raise TestbedError(f"The container {name} is no node of this checkout's test bed, and stays.")
        run("docker", "rm", "--force", "--volumes", name)
    if succeeds("docker", "volume", "inspect", f"{name}-mnt"):
        run("docker", "volume", "rm", f"{name}-mnt")
    shutil.rmtree(CACHE / "secrets" / name, ignore_errors=True)
    nodes = run("docker", "ps", "--all", "--format={{.Names}}", f"--filter=network={NETWORK}").split()
    if set(nodes) <= {ARCHIVE_SERVER} and succeeds("docker", "network", "inspect", NETWORK):
        run("docker", "rm", "--force", ARCHIVE_SERVER)
        run("docker", "network", "rm", NETWORK)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    creating = commands.add_parser("create", help="start a node and wait until it answers")
    creating.add_argument("name", type=node_name)
    creating.add_argument("--ssh-port", type=int, required=True)
    creating.add_argument("--publish", type=int, action="append", default=[])
    creating.add_argument("--system", choices=SYSTEMS, default="bookworm")
    commands.add_parser("archives", help="have the release archives alone")
    commands.add_parser("browser", help="have Debian's Chromium")
    commands.add_parser("destroy", help="remove a node").add_argument("name", type=node_name)
    arguments = parser.parse_args()
    return one_at_a_time(lambda: carry_out(arguments))


def one_at_a_time(command: Callable[[], None]) -> int:
    """Run a command while no other runs, say what the reader has to mend, and return the exit status."""
    CACHE.mkdir(parents=True, exist_ok=True)
    # What one scenario starts, another could be about to remove with its own last node.
    with (CACHE / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            command()
        except (TestbedError, archives.ArchiveError) as error:
            print(f"[test bed] {error}", file=sys.stderr)
            return 1
    return 0


def carry_out(arguments: argparse.Namespace) -> None:
    """Run a command."""
    if arguments.command == "create":
        create(arguments.name, arguments.ssh_port, arguments.publish, arguments.system)
    elif arguments.command == "archives":
        ensure_archives()
    elif arguments.command == "browser":
        need("chromium", "chromium")
    elif may_have_nodes():
        destroy(arguments.name)


if __name__ == "__main__":
    sys.exit(main())
