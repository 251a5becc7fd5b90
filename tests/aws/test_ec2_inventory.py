"""inventory/emr-ec2 finds the primary nodes that run, and nothing else: the real plugin against moto's EC2."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
COLLECTIONS = PROJECT / ".cache/collections"
INVENTORY = PROJECT / "inventory/emr-ec2"
REGION = "eu-central-1"
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
ONE, THREE, ELSEWHERE = "j-1ONEPRIMARY", "j-3THREEPRIMARY", "j-0ELSEWHERE"


def required(module: str) -> Any:
    """Import a module that the other tests do without: a test that skipped itself would be green for ever."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        pytest.fail(f"{error}: `make aws` installs requirements-aws.txt into .venv", pytrace=False)


class Ec2:
    """Instances in one region of the local EC2."""

    def __init__(self, endpoint: str, region: str) -> None:
        self.client = required("boto3").client("ec2", region, endpoint_url=endpoint, **CREDENTIALS)
        self.image = self.client.describe_images()["Images"][0]["ImageId"]
        self.subnet = self.client.describe_subnets()["Subnets"][0]["SubnetId"]

    def run(self, role: str = "", cluster: str = "") -> dict[str, Any]:
        tags = {"aws:elasticmapreduce:instance-group-role": role, "aws:elasticmapreduce:job-flow-id": cluster}
        answer = self.client.run_instances(
            ImageId=self.image,
            SubnetId=self.subnet,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {
                    "ResourceType": "instance",
                    "Tags": [{"Key": "Name", "Value": role.lower() or "unrelated"}]
                    + [{"Key": key, "Value": value} for key, value in tags.items() if value],
                }
            ],
        )
        instance: dict[str, Any] = answer["Instances"][0]
        return instance


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = required("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def primaries(endpoint: str) -> dict[str, list[dict[str, Any]]]:
    """Two clusters whose primaries run, beside everything that must not be found."""
    ec2 = Ec2(endpoint, REGION)
    running = {ONE: [ec2.run("MASTER", ONE)], THREE: [ec2.run("MASTER", THREE) for _ in range(3)]}
    for cluster in running:
        for role in ("CORE", "CORE", "TASK"):
            ec2.run(role, cluster)
    ec2.run()
    # What a cluster leaves behind: the primary that was replaced, and one that somebody stopped.
    ec2.client.terminate_instances(InstanceIds=[ec2.run("MASTER", THREE)["InstanceId"]])
    ec2.client.stop_instances(InstanceIds=[ec2.run("MASTER", "j-9STOPPED")["InstanceId"]])
    Ec2(endpoint, "eu-west-1").run("MASTER", ELSEWHERE)
    return running


def ansible_inventory(endpoint: str, *more: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    if not (COLLECTIONS / "ansible_collections/amazon/aws").is_dir():
        pytest.fail("The collection amazon.aws is missing: `make aws` fetches it", pytrace=False)
    # Nothing of the user's own AWS and Ansible settings may reach the plugin, let alone a real account.
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_"))}
    local = {name.upper(): value for name, value in CREDENTIALS.items()} | {
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return subprocess.run(
        [
            Path(sys.executable).with_name("ansible-inventory"),
            *(option for inventory in (INVENTORY, *more) for option in ("-i", inventory)),
            "--list",
        ],
        cwd=PROJECT,
        env=bare | local | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def listing(endpoint: str, primaries: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    run = ansible_inventory(endpoint, AWS_REGION=REGION)
    assert run.returncode == 0, run.stderr
    assert "reserved name" not in run.stderr
    # Values that came from outside are wrapped, so that they are never taken for templates.
    answer: dict[str, Any] = json.loads(run.stdout, object_hook=lambda value: value.get("__ansible_unsafe", value))
    return answer


def test_exactly_the_running_primaries_of_the_region_are_found(
    listing: dict[str, Any], primaries: dict[str, list[dict[str, Any]]]
) -> None:
    expected = {instance["InstanceId"] for instances in primaries.values() for instance in instances}
    assert len(expected) == 4
    assert set(listing["_meta"]["hostvars"]) == expected
    assert set(listing["emr_master"]["hosts"]) == expected


def test_each_cluster_is_a_group(listing: dict[str, Any], primaries: dict[str, list[dict[str, Any]]]) -> None:
    groups = {name: set(group["hosts"]) for name, group in listing.items() if name.startswith("emr_j")}
    assert groups == {
        "emr_j_1ONEPRIMARY": {instance["InstanceId"] for instance in primaries[ONE]},
        "emr_j_3THREEPRIMARY": {instance["InstanceId"] for instance in primaries[THREE]},
    }


def test_each_primary_is_reached_at_its_private_address(
    listing: dict[str, Any], primaries: dict[str, list[dict[str, Any]]]
) -> None:
    for instance in [instance for instances in primaries.values() for instance in instances]:
        name = instance["InstanceId"]
        variables = listing["_meta"]["hostvars"][name]
        assert variables["ansible_host"] == instance["PrivateIpAddress"]
        assert variables["ansible_user"] == "hadoop"
        assert variables["ansible_python_interpreter"] == "/usr/bin/python3"
        assert variables["ansible_ssh_common_args"] == f"-o HostKeyAlias={name}"


def test_the_scrape_jobs_apply_unless_the_group_of_a_cluster_has_others(
    endpoint: str, primaries: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/emr_j_1ONEPRIMARY.yml").write_text("prometheus_scrape_configs: [{job_name: own}]")
    (tmp_path / "hosts").touch()
    run = ansible_inventory(endpoint, tmp_path / "hosts", AWS_REGION=REGION)
    assert run.returncode == 0, run.stderr
    hosts = json.loads(run.stdout)["_meta"]["hostvars"]
    jobs = {
        cluster: hosts[primaries[cluster][0]["InstanceId"]]["prometheus_scrape_configs"] for cluster in (ONE, THREE)
    }
    assert jobs[ONE] == [{"job_name": "own"}]
    assert "ingest-service" in [job["job_name"] for job in jobs[THREE]]


def test_without_a_region_the_run_fails_and_says_what_to_set(endpoint: str) -> None:
    run = ansible_inventory(endpoint)
    assert "Set AWS_REGION, or list the regions in inventory/emr-ec2/aws_ec2.yml" in run.stderr
    # Ansible would else go on with an empty inventory, and a run without hosts is a success.
    assert run.returncode != 0
