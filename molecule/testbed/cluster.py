"""A local EMR cluster: one primary and two core nodes with real HDFS and YARN daemons, under EMR's names.

The programs are Hadoop's own, from Maven Central, with pinned checksums; Java is Debian's. EMR's scripts and settings
are not there, and all nodes share the disk of this machine, which is what HDFS says of its capacity.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

import testbed
from progress import say

HADOOP = testbed.TESTBED / "hadoop"
JARS = testbed.CACHE / "hadoop-jars"
SPARK = testbed.CACHE / "spark"
MAVEN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
PRIMARY, *CORES = [f"ip-172-31-0-{number}" for number in (10, 11, 12)]
# What is kept of the package pyspark, and where the scripts of Spark's releases look for it.
SPARK_FOLDERS = {"deps/bin/": "bin/", "deps/jars/": "jars/", "lib/": "python/lib/"}
# Times that are short enough for a test: Hadoop itself takes ten minutes to give a node up.
SITES: dict[str, dict[str, str]] = {
    "core-site": {
        "fs.defaultFS": f"hdfs://{PRIMARY}:8020",
        "hadoop.tmp.dir": "/mnt/var/lib/hadoop/tmp",
        "hadoop.prometheus.endpoint.enabled": "true",
    },
    "hdfs-site": {
        "dfs.replication": "2",
        "dfs.namenode.name.dir": "file:///mnt/namenode",
        "dfs.datanode.data.dir": "file:///mnt/hdfs",
        # Docker's names of the other nodes are its own.
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.heartbeat.interval": "1",
        "dfs.namenode.heartbeat.recheck-interval": "5000",
        "dfs.namenode.stale.datanode.interval": "5000",
    },
    "yarn-site": {
        "yarn.resourcemanager.hostname": PRIMARY,
        "yarn.resourcemanager.resource-tracker.address": f"{PRIMARY}:8025",
        "yarn.web-proxy.address": f"{PRIMARY}:20888",
        "yarn.nodemanager.address": "${yarn.nodemanager.hostname}:8041",
        "yarn.nodemanager.resource.memory-mb": "2048",
        "yarn.nodemanager.resource.cpu-vcores": "4",
        "yarn.nodemanager.local-dirs": "/mnt/yarn",
        "yarn.nodemanager.log-dirs": "/mnt/var/log/hadoop-yarn",
        "yarn.nodemanager.vmem-check-enabled": "false",
        "yarn.nodemanager.disk-health-checker.interval-ms": "5000",
        "yarn.scheduler.minimum-allocation-mb": "32",
        "yarn.nm.liveness-monitor.expiry-interval-ms": "15000",
    },
    "capacity-scheduler": {
        "yarn.scheduler.capacity.root.queues": "default",
        "yarn.scheduler.capacity.root.default.capacity": "100",
        "yarn.scheduler.capacity.maximum-am-resource-percent": "1",
    },
}
# By unit of EMR: the user, the heap in MB, and the class.
DAEMONS = {
    "hadoop-hdfs-namenode": ("hdfs", 128, "org.apache.hadoop.hdfs.server.namenode.NameNode"),
    "hadoop-hdfs-datanode": ("hdfs", 96, "org.apache.hadoop.hdfs.server.datanode.DataNode"),
    "hadoop-yarn-resourcemanager": ("yarn", 160, "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager"),
    "hadoop-yarn-nodemanager": ("yarn", 96, "org.apache.hadoop.yarn.server.nodemanager.NodeManager"),
    "hadoop-yarn-proxyserver": ("yarn", 64, "org.apache.hadoop.yarn.server.webproxy.WebAppProxyServer"),
}
ON_PRIMARY = ("hadoop-hdfs-namenode", "hadoop-yarn-resourcemanager", "hadoop-yarn-proxyserver")
ON_CORE = ("hadoop-hdfs-datanode", "hadoop-yarn-nodemanager")
# How EMR describes what is not the primary node.
CORE_NODE = '{"isMaster": false, "instanceGroupId": "ig-TESTBED-CORE"}'
JAVA = "/usr/bin/java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 --add-opens=java.base/java.lang=ALL-UNNAMED"
CLASSPATH = "/etc/hadoop/conf:/usr/lib/hadoop/*"
UNIT = """[Unit]
Description={unit}
After=network-online.target
{format}
[Service]
User={user}
ExecStart={java} -Xmx{heap}m -cp {classpath} {program}
SuccessExitStatus=143
"""
FORMAT = """
[Service]
ExecStartPre=/bin/sh -c '[ -d /mnt/namenode/current ] || {java} -cp {classpath} {program} -format -nonInteractive'
"""
LOG4J = """log4j.rootLogger=INFO,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%p %c: %m%n
"""


def missing() -> str:
    """Return what this machine lacks for a cluster, empty where it has all."""
    return "" if JARS.is_dir() or shutil.which("mvn") else "Maven (mvn), which fetches Hadoop from Maven Central"


def ensure_jars() -> Path:
    """Have Hadoop's jars, with the pinned checksums.

    :raises TestbedError: they cannot be had, or one has another checksum
    """
    expected = dict(line.split()[::-1] for line in (HADOOP / "jars.sha256").read_text().splitlines())
    if not JARS.is_dir():
        say("fetching Hadoop 3.4.2 from Maven Central (101 MB)")
        part = JARS.with_name("hadoop-jars.part")
        shutil.rmtree(part, ignore_errors=True)
        testbed.run("mvn", "-q", "-B", "-f", HADOOP / "pom.xml", MAVEN, f"-DoutputDirectory={part}")
        part.rename(JARS)
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in JARS.iterdir()}
    if found != expected:
        shutil.rmtree(JARS)
        raise testbed.TestbedError(f"Hadoop's jars are not those of {HADOOP / 'jars.sha256'}: removed, try again.")
    return JARS


def ensure_spark() -> Path:
    """Have Spark, as PyPI's package pyspark has it, in the layout of Spark's own releases.

    :raises TestbedError: it cannot be had, or has another checksum than the pinned one
    """
    if not SPARK.is_dir():
        part = SPARK.with_name("spark.part")
        shutil.rmtree(part, ignore_errors=True)
        testbed.patiently(
            "downloading Spark, the package pyspark (317 MB)",
            sys.executable, "-m", "pip", "download", "-v", "--no-cache-dir", "--no-deps", "--require-hashes",
            f"--dest={part}", f"--requirement={testbed.TESTBED / 'spark' / 'requirements.txt'}",
        )  # fmt: skip
        (archive,) = part.iterdir()
        with tarfile.open(archive) as package:
            for member in package:
                inside = member.name.partition("/")[2]
                kept = [place for folder, place in SPARK_FOLDERS.items() if inside.startswith(folder)]
                if member.isfile() and kept:
                    member.name = kept[0] + member.name.rpartition("/")[2]
                    package.extract(member, part, filter="data")
        archive.unlink()
        part.rename(SPARK)
    return SPARK


def ensure_image(node_image: str) -> str:
    """Have the image of a node with Java; return its name."""
    image = f"emr-testbed-java:{node_image.rpartition(':')[2]}"
    if not testbed.succeeds("docker", "image", "inspect", image):
        say("adding Debian's Java to the node's image (a minute)")
        container = f"{image.replace(':', '-')}-build"
        testbed.run("docker", "rm", "--force", container)
        install = (
            "apt-get -qq -o Acquire::Check-Valid-Until=false update && DEBIAN_FRONTEND=noninteractive "
            "apt-get -qq install --yes --no-install-recommends openjdk-17-jre-headless curl "
            "&& rm -rf /var/lib/apt/lists/*"
        )
        testbed.run("docker", "run", f"--name={container}", node_image, "sh", "-c", install)
        testbed.run("docker", "commit", container, image)
        testbed.run("docker", "rm", container)
    return image


def site(settings: Mapping[str, str]) -> str:
    """Return one of Hadoop's files of settings."""
    rows = "".join(
        f"<property><name>{name}</name><value>{value}</value></property>\n" for name, value in settings.items()
    )
    return f"<configuration>\n{rows}</configuration>\n"


def unit(name: str) -> str:
    """Return the text of the unit of a daemon."""
    user, heap, program = DAEMONS[name]
    known = {"java": JAVA, "classpath": CLASSPATH, "program": program}
    prepare = FORMAT.format(**known) if name == "hadoop-hdfs-namenode" else ""
    return UNIT.format(unit=name, user=user, heap=heap, format=prepare, **known)


def write(node: str, path: str, text: str) -> None:
    """Write a file of a node."""
    command = f"mkdir -p {path.rpartition('/')[0]} && cat >{path}"
    testbed.run("docker", "exec", "--interactive", node, "sh", "-c", command, input=text)


def start_daemons(node: str, units: tuple[str, ...]) -> None:
    """Give a node Hadoop's settings, users and units, and start these."""
    for name, settings in SITES.items():
        write(node, f"/etc/hadoop/conf/{name}.xml", site(settings))
    write(node, "/etc/hadoop/conf/log4j.properties", LOG4J)
    for name in units:
        write(node, f"/etc/systemd/system/{name}.service", unit(name))
    prepare = (
        "for user in hdfs yarn; do id $user >/dev/null 2>&1 || useradd --system $user; done; "
        "mkdir -p /mnt/namenode /mnt/hdfs /mnt/yarn /mnt/var/log/hadoop-yarn /mnt/var/lib/hadoop/tmp; "
        "chown hdfs /mnt/namenode /mnt/hdfs; chown yarn /mnt/yarn /mnt/var/log/hadoop-yarn; chmod 755 /mnt/yarn; "
        "chmod 1777 /mnt/var/lib/hadoop/tmp"
    )
    testbed.run("docker", "exec", node, "sh", "-c", prepare)
    testbed.run("docker", "exec", node, "systemctl", "daemon-reload")
    testbed.run("docker", "exec", node, "systemctl", "start", "--no-block", *units)


def serves(node: str, url: str) -> bool:
    """Tell whether a page of a node answers."""
    return testbed.succeeds("docker", "exec", node, "curl", "--fail", "--silent", "--output", "/dev/null", url)


def names(primary: str) -> list[str]:
    """Return the names of all nodes of a cluster, that of the primary first."""
    return [primary, *(f"{primary}-core-{number}" for number in range(1, len(CORES) + 1))]


def create(name: str, ssh_port: int, published: tuple[int, ...] = (), *, spark: bool = False) -> None:
    """Start the cluster, unless it runs, and wait until HDFS and YARN have both core nodes.

    :param name: name of the primary node; those of the core nodes end in ``-core-1`` and ``-core-2``
    :param ssh_port: port of this machine's loopback for ssh to the primary; the core nodes have the following two
    :param spark: whether the nodes have Spark, too
    """
    jars = ensure_jars()
    image = ensure_image(testbed.ensure_archives())
    mounts = [f"{jars}:/usr/lib/hadoop:ro", *([f"{ensure_spark()}:/usr/lib/spark:ro"] if spark else [])]
    for number, (node, host) in enumerate(zip(names(name), (PRIMARY, *CORES), strict=True)):
        ports = () if number else published
        testbed.create(node, ssh_port + number, ports, "bookworm", java_image=image, hostname=host, mounts=mounts)
        if number:
            write(node, "/mnt/var/lib/info/instance.json", CORE_NODE)
        start_daemons(node, ON_CORE if number else ON_PRIMARY)
    began = time.monotonic()
    pages = [(name, f"http://{PRIMARY}:{port}/prom") for port in (9870, 8088, 20888)]
    pages += [(name, f"http://{host}:{port}/prom") for host in CORES for port in (9864, 8042)]
    testbed.wait_for(lambda: all(serves(*page) for page in pages), "The first answer of each of Hadoop's daemons", 180)
    say(f"HDFS and YARN answer after {time.monotonic() - began:.0f} s")


def destroy(name: str) -> None:
    """Remove the cluster with all that its nodes kept."""
    for node in names(name):
        testbed.destroy(node)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    creating = commands.add_parser("create", help="start a cluster and wait until HDFS and YARN answer")
    creating.add_argument("name", type=testbed.node_name)
    creating.add_argument("--ssh-port", type=int, required=True)
    creating.add_argument("--publish", type=int, action="append", default=[])
    creating.add_argument("--spark", action="store_true")
    commands.add_parser("destroy", help="remove a cluster").add_argument("name", type=testbed.node_name)
    commands.add_parser("missing", help="say what this machine lacks for a cluster; fail where it has all")
    arguments = parser.parse_args()
    if arguments.command == "missing":
        print(missing())
        return 0 if missing() else 1
    return testbed.one_at_a_time(lambda: carry_out(arguments))


def carry_out(arguments: argparse.Namespace) -> None:
    """Start or remove a cluster."""
    if arguments.command == "create":
        create(arguments.name, arguments.ssh_port, tuple(arguments.publish), spark=arguments.spark)
    elif testbed.may_have_nodes():
        destroy(arguments.name)


if __name__ == "__main__":
    sys.exit(main())
