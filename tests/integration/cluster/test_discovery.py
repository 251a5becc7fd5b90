"""Core nodes that come and go: the bootstrap action, EC2's discovery against moto's EC2, and a missing right."""

from __future__ import annotations

import importlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.cluster.nodes import Node
from tests.integration.node import PROJECT, Api, Playbook, poll, words

REGION, CLUSTER = "eu-west-1", "j-TESTBED"
BUCKET = "/home/hadoop/bucket"
LOG = "/mnt/var/log/bootstrap-actions/emr-monitoring/node_exporter.log"
# aws s3 cp --only-show-errors s3://bucket/KEY FILE
AWS = f'#!/bin/sh\ntest "$*" = "s3 cp --only-show-errors $4 $5" && exec cp "{BUCKET}/${{4#s3://bucket/}}" "$5"\n'
REFUSAL = (
    b"<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized to perform this "
    b"operation.</Message></Error></Errors><RequestID>1</RequestID></Response>"
)
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def required(module: str) -> Any:
    """Import a module that most tests do without; a test that skipped itself would be green for ever."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        pytest.fail(f"{error}: `make aws` installs requirements-aws.txt into .venv", pytrace=False)


def network(node: Node, name: str) -> str:
    """Return the address of a node (``IPAddress``), or that of this machine for it (``Gateway``)."""
    shown = subprocess.run(["docker", "inspect", node.name], capture_output=True, text=True, check=True).stdout
    (found,) = json.loads(shown)[0]["NetworkSettings"]["Networks"].values()
    return str(found[name])


@dataclass
class Ec2:
    """Moto's EC2, whose instances have the addresses of the test bed's nodes."""

    client: Any

    def appears(self, address: str, role: str) -> str:
        """Have an instance of the cluster; return its id."""
        # A network of its own: moto gives no address twice.
        block = f"{address.rpartition('.')[0]}.0/24"
        vpc = self.client.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
        subnet = self.client.create_subnet(VpcId=vpc, CidrBlock=block)["Subnet"]["SubnetId"]
        image = self.client.describe_images()["Images"][0]["ImageId"]
        tags = {"aws:elasticmapreduce:job-flow-id": CLUSTER, "aws:elasticmapreduce:instance-group-role": role}
        made = self.client.run_instances(
            ImageId=image, SubnetId=subnet, PrivateIpAddress=address, MinCount=1, MaxCount=1,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            ],
        )  # fmt: skip
        return str(made["Instances"][0]["InstanceId"])

    def leaves(self, instance: str) -> None:
        """End an instance."""
        self.client.terminate_instances(InstanceIds=[instance])


@pytest.fixture(scope="module")
def endpoint(primary: Node) -> Iterator[str]:
    """Return the address of moto's EC2, which the nodes reach."""
    server = required("moto.server").ThreadedMotoServer(network(primary, "Gateway"), 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="module")
def ec2(endpoint: str) -> Ec2:
    """Return an EC2 without an instance."""
    login = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "test")
    client = required("boto3").client("ec2", REGION, endpoint_url=endpoint, **login)
    return Ec2(client)


@pytest.fixture(scope="module")
def run(primary: Node, variables: dict[str, Any], endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs a playbook with an inventory whose core nodes are discovered."""
    folder = tmp_path_factory.mktemp("inventory")
    (folder / "group_vars").symlink_to(PROJECT / "molecule/testbed/group_vars")

    def play(path: str, *options: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        own = {
            "ansible_port": variables["ansible_port"],
            "emr_cluster_monitoring": True,
            "emr_cluster_discovery": "ec2",
            "emr_cluster_ec2": {"endpoint": endpoint, "refresh_interval": "5s"},
            "prometheus_environment": {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
            "prometheus_global": {"scrape_interval": "2s", "evaluation_interval": "1s"},
            "alertmanager_receivers": [{"name": "nobody"}],
            "verify_targets_must_be_up": False,
            **settings,
        }
        hosts = {"testbed": {"children": {"emr_master": None}}, "emr_master": {"hosts": {primary.name: own}}}
        (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
        command = ["ansible-playbook", str(PROJECT / path), "-i", str(folder), *options]
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    return play


@pytest.fixture(scope="module")
def bundle(playbook: Playbook, run: Run, variables: dict[str, Any], primary: Node) -> Iterator[Path]:
    """Return the bundle of a cluster that discovers its nodes, and that has none of those of the inventory."""
    done = playbook("playbooks/uninstall.yml", "--tags=node_exporter")
    assert done.returncode == 0, done.stdout
    done = run("playbooks/hosts_bundle.yml", "-v", "--diff")
    assert done.returncode == 0, done.stdout
    folder = Path(str(variables["testbed_cache"])) / "secrets" / primary.name
    # It says where the files are, and nothing of what is in them.
    assert (folder / "node_exporter_password").read_text() not in done.stdout
    assert "PRIVATE KEY" not in done.stdout
    assert (folder / "hosts/hosts.tar.gz").stat().st_mode & 0o077 == 0
    assert "changed=0 " in run("playbooks/hosts_bundle.yml").stdout
    done = run("site.yml")
    assert done.returncode == 0, done.stdout
    yield folder / "hosts/hosts.tar.gz"
    done = run("playbooks/uninstall.yml", "--tags=node_exporter", "-e", "uninstall_purge_data=true")
    assert done.returncode == 0, done.stdout
    # Prometheus has the login, too.
    assert (folder / "hosts").exists()
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout


def boot(node: Node, bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Have a node run the bootstrap action as EMR does, with the bundle in a bucket."""
    node.run(f"mkdir -p {BUCKET} && cat >/usr/local/bin/aws <<'END'\n{AWS}END\nchmod 755 /usr/local/bin/aws")
    for path in (bundle, PROJECT / "contrib/emr/hosts.sh"):
        subprocess.run(["docker", "cp", "--quiet", path, f"{node.name}:{BUCKET}/"], check=True)
    node.run(f"chmod 644 {BUCKET}/hosts.tar.gz")
    return subprocess.run(
        ["docker", "exec", "--user=hadoop", node.name, f"{BUCKET}/hosts.sh", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def watched(core: Node, bundle: Path) -> Iterator[Node]:
    """Return a core node that has booted with the action."""
    began = time.monotonic()
    done = boot(core, bundle, "s3://bucket/hosts.tar.gz")
    assert done.returncode == 0, done.stderr
    # EMR gives it a minute, and the node's start waits for it.
    assert time.monotonic() - began < 60
    assert poll(lambda: "This host is watched." in core.run(f"cat {LOG} 2>/dev/null || true"), 30), core.run(
        f"cat {LOG}"
    )
    yield core
    remove_from(core)


def remove_from(node: Node) -> None:
    """Take away what the action has put on a node."""
    node.run(
        "systemctl disable --quiet --now node_exporter; systemctl stop emr-monitoring-hosts; cd /etc/systemd/system; "
        "rm -rf node_exporter.service emr-monitoring-hosts.service /etc/node_exporter /mnt/node_exporter "
        "/mnt/emr-monitoring-hosts; userdel node_exporter; systemctl daemon-reload"
    )


def up(prometheus: Api) -> dict[tuple[str, str], str]:
    """Return by job and target how the scrape of it is."""
    targets = prometheus.data("/api/v1/targets")["data"]["activeTargets"]
    return {(each["scrapePool"], each["scrapeUrl"]): each["health"] for each in targets}


def test_the_bootstrap_action_leaves_what_the_role_would(watched: Node) -> None:
    shown = watched.run("systemctl show --property=ActiveState,UnitFileState node_exporter")
    assert shown == "ActiveState=active\nUnitFileState=enabled", watched.run(f"cat {LOG}")
    assert watched.run("stat --format='%a %U %G' /etc/node_exporter/tls/key.pem") == "640 root node_exporter"
    assert watched.run("systemctl show --property=User --value node_exporter") == "node_exporter"
    # The bundle is gone: the key is where the service reads it.
    assert watched.run("ls /mnt/emr-monitoring-hosts") == "hosts.sh\nsource"
    assert watched.run("grep --count 'PRIVATE KEY' " + LOG + " || true") == "0"


def test_a_node_that_appears_is_scraped_and_one_that_leaves_is_not(watched: Node, ec2: Ec2, prometheus: Api) -> None:
    address = network(watched, "IPAddress")
    expected = {
        ("node", f"https://{address}:9100/metrics"),
        ("hdfs", f"http://{address}:9864/prom"),
        ("yarn", f"http://{address}:8042/prom"),
    }
    began = time.monotonic()
    instance = ec2.appears(address, "CORE")
    assert poll(lambda: {key for key, health in up(prometheus).items() if health == "up"} >= expected, 30), up(
        prometheus
    )
    print(f"First sample of a node after {time.monotonic() - began:.0f} s, asked each 5 s")
    ec2.leaves(instance)
    assert poll(lambda: not expected & up(prometheus).keys(), 30), up(prometheus)
    # A task node has no DataNode.
    instance = ec2.appears(address, "TASK")
    task = {each for each in expected if each[0] != "hdfs"}
    assert poll(lambda: expected & up(prometheus).keys() == task, 30), up(prometheus)
    ec2.leaves(instance)


@pytest.mark.usefixtures("watched")
def test_a_node_that_can_fetch_nothing_has_the_release_in_its_bundle(
    run: Run, bundle: Path, primary: Node, variables: dict[str, Any]
) -> None:
    other = Node(f"{primary.name}-core-2")
    archive = f"file://{variables['testbed_cache']}/archives/{variables['testbed_archives']['node_exporter']}"
    own = {"node_exporter_url": archive, "node_exporter_port": 443, "node_exporter_listen_address": "172.31.0.10"}
    try:
        done = run("playbooks/hosts_bundle.yml", **own)
        assert done.returncode == 0, done.stdout
        assert json.loads(bundle.with_name("variables.json").read_text())["node_exporter_port"] == 443
        assert boot(other, bundle, "s3://bucket/hosts.tar.gz").returncode == 0
        assert poll(lambda: "This host is watched." in other.run(f"cat {LOG} 2>/dev/null || true"), 30), other.run(
            f"cat {LOG}"
        )
        # Its own addresses, and a port that is for root alone.
        assert "*:443" in other.run("ss --listening --tcp --numeric --no-header")
    finally:
        remove_from(other)
        other.run(f"rm -f {LOG}")
        assert run("playbooks/hosts_bundle.yml").returncode == 0
        assert list(bundle.parent.glob("bundle/*.tar.gz")) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["s3://bucket/nothing.tar.gz"], "FAILED (1) when fetching the bundle"),
        (["/home/hadoop/bucket/hosts.sh"], "FAILED (2) when fetching the bundle"),
    ],
    ids=["no bundle", "no archive"],
)
@pytest.mark.usefixtures("watched")
def test_whatever_happens_the_action_ends_well_and_its_log_says_what(
    bundle: Path, primary: Node, arguments: list[str], said: str
) -> None:
    other = Node(f"{primary.name}-core-2")
    began = time.monotonic()
    done = boot(other, bundle, *arguments)
    assert (done.returncode, time.monotonic() - began < 60) == (0, True), done.stderr
    assert poll(lambda: said in other.run(f"cat {LOG} 2>/dev/null || true"), 30), other.run(f"cat {LOG}")
    other.run(f"systemctl stop emr-monitoring-hosts; rm -rf {LOG} /mnt/emr-monitoring-hosts")


def test_the_primary_node_is_left_alone(bundle: Path, primary: Node) -> None:
    before = primary.run("stat --format=%Y /etc/node_exporter/web.yml")
    done = boot(primary, bundle, "s3://bucket/hosts.tar.gz")
    assert (done.returncode, "there is nothing to do" in done.stdout) == (0, True)
    assert primary.run("stat --format=%Y /etc/node_exporter/web.yml") == before
    assert primary.run("ls -d /mnt/emr-monitoring-hosts 2>/dev/null || true") == ""
    # EMR ends an instance whose action does not end well, such as where nobody can take what it says.
    for arguments in ("s3://bucket/hosts.tar.gz", ""):
        primary.run(f"su hadoop -c '{BUCKET}/hosts.sh {arguments} >/dev/full 2>&1'")
        gone = f"{BUCKET}/hosts.sh {arguments} 2>&1 | true; exit ${{PIPESTATUS[0]}}"
        primary.run(f"su hadoop -s /bin/bash -c '{gone}'")


def test_a_discovery_without_the_right_is_named_at_the_end_of_the_run(run: Run, bundle: Path, primary: Node) -> None:
    assert bundle.exists()

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(403)
            self.send_header("Content-Length", str(len(REFUSAL)))
            self.end_headers()
            self.wfile.write(REFUSAL)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((network(primary, "Gateway"), 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    elsewhere = {"endpoint": "http://{}:{}".format(*server.server_address[:2]), "refresh_interval": "5s"}
    done = run("site.yml", "--tags=prometheus", emr_cluster_ec2=elsewhere)
    said = words(done)
    assert done.returncode == 0, said
    for job in ("node", "hdfs", "yarn"):
        assert f"{job} lacks targets, since its discovery fails: could not describe instances:" in said, said[-3000:]
    assert "UnauthorizedOperation" in said
    assert "needs the right ec2:DescribeInstances" in said
    done = run("site.yml", "--tags=prometheus", emr_cluster_ec2=elsewhere, verify_targets_must_be_up=True)
    assert done.returncode != 0
    server.shutdown()


def test_a_cluster_that_does_not_tell_its_id_is_refused_before_anything_changes(run: Run, primary: Node) -> None:
    info = "/mnt/var/lib/info"
    primary.run(f"mv {info}/job-flow.json {info}/away.json")
    try:
        done = run("site.yml")
    finally:
        primary.run(f"mv {info}/away.json {info}/job-flow.json")
    assert done.returncode != 0
    assert "emr_cluster_discovery is ec2, and the node does not tell its cluster_id" in words(done)
    assert "changed=0" in done.stdout
