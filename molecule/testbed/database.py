"""A PostgreSQL for the Grafanas of the local nodes: Debian's own, with TLS by an authority of its own."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
from pathlib import Path

import testbed
from progress import say

# Under which the nodes know it, and its certificate does.
HOST = "database.internal"
VERSION = "15"
INSTALL = (
    "apt-get -qq -o Acquire::Check-Valid-Until=false update && DEBIAN_FRONTEND=noninteractive "
    "apt-get -qq install --yes --no-install-recommends postgresql pgloader && rm -rf /var/lib/apt/lists/*"
)
# The authority's key goes as soon as it has signed; the server starts anew with each container, empty.
SERVE = f"""set -eu
data=/var/lib/postgresql/{VERSION}/main bin=/usr/lib/postgresql/{VERSION}/bin cd=/etc/ssl/testbed
mkdir -p $cd && cd $cd
new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
openssl req -x509 $new -days 30 -subj /CN=testbed-database -keyout ca.key -out ca.pem
openssl req $new -subj /CN={HOST} -addext subjectAltName=DNS:{HOST} -keyout server.key -out server.csr
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 30 -copy_extensions copy -out server.pem
rm ca.key && chown postgres server.key && chmod 0600 server.key
cat >>/etc/postgresql/{VERSION}/main/postgresql.conf <<END
listen_addresses = '*'
ssl = on
ssl_cert_file = '$cd/server.pem'
ssl_key_file = '$cd/server.key'
fsync = off
END
echo 'hostssl grafana grafana all scram-sha-256' >>/etc/postgresql/{VERSION}/main/pg_hba.conf
pg_ctlcluster {VERSION} main start
su postgres -c "psql --quiet -v ON_ERROR_STOP=1" <<END
CREATE USER grafana PASSWORD '$(cat)';
CREATE DATABASE grafana OWNER grafana;
END
"""


def folder(name: str) -> Path:
    """Return the folder of what a node has to know of its database: ``password`` and ``ca.pem``."""
    return testbed.CACHE / "databases" / name


def ensure_image(node_image: str) -> str:
    """Have the image of a node with PostgreSQL; return its name."""
    image = f"emr-testbed-database:{node_image.rpartition(':')[2]}"
    if not testbed.succeeds("docker", "image", "inspect", image):
        say("adding Debian's PostgreSQL to the node's image (a minute)")
        container = f"{image.replace(':', '-')}-build"
        testbed.run("docker", "rm", "--force", container)
        testbed.run("docker", "run", f"--name={container}", node_image, "sh", "-c", INSTALL)
        testbed.run("docker", "commit", container, image)
        testbed.run("docker", "rm", container)
    return image


def create(name: str) -> None:
    """Start the database, unless it runs."""
    image = testbed.ensure_archives()
    testbed.ensure_archive_server(image)
    if testbed.succeeds("docker", "inspect", name):
        return
    say(f"starting the database {name}")
    shown = folder(name)
    shown.mkdir(parents=True, exist_ok=True)
    password = secrets.token_urlsafe(24)
    (shown / "password").write_text(password)
    network = (f"--network={testbed.NETWORK}", f"--network-alias={HOST}")
    testbed.run("docker", "run", "--detach", f"--name={name}", *network, ensure_image(image), "sleep", "infinity")
    testbed.run("docker", "exec", "--interactive", name, "sh", "-c", SERVE, input=password)
    (shown / "ca.pem").write_text(testbed.run("docker", "exec", name, "cat", "/etc/ssl/testbed/ca.pem"))


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["create", "destroy"])
    parser.add_argument("name", type=testbed.node_name)
    arguments = parser.parse_args()
    return testbed.one_at_a_time(lambda: carry_out(arguments))


def carry_out(arguments: argparse.Namespace) -> None:
    """Start or remove a database."""
    if arguments.command == "create":
        create(arguments.name)
    elif testbed.may_have_nodes():
        testbed.destroy(arguments.name)
        shutil.rmtree(folder(arguments.name), ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
