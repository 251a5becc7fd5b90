"""The nodes of the cluster, which the test bed runs as containers."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass

SPARK = (
    "HADOOP_CONF_DIR=/etc/hadoop/conf HADOOP_USER_NAME=hdfs JAVA_HOME=/usr /usr/lib/spark/bin/spark-submit "
    "--master yarn --deploy-mode cluster --num-executors 2 --driver-memory 512m --executor-memory 512m "
    "--conf spark.yarn.jars='local:/usr/lib/spark/jars/*' --conf spark.yarn.submit.waitAppCompletion=false"
)
HADOOP = "java -cp '/etc/hadoop/conf:/usr/lib/hadoop/*'"


@dataclass(frozen=True)
class Node:
    """A node of the cluster.

    :ivar name: of its container
    """

    name: str

    def run(self, command: str, user: str = "root") -> str:
        """Run a command of the shell and return what it prints; raises CalledProcessError."""
        done = subprocess.run(
            ["docker", "exec", f"--user={user}", self.name, "sh", "-c", command],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def hdfs(self, *words: str) -> str:
        """Run a command of ``hdfs dfs``."""
        return self.run(f"{HADOOP} org.apache.hadoop.fs.FsShell {shlex.join(words)} 2>/dev/null", "hdfs")

    def application(self, command: str, megabytes: int = 64) -> None:
        """Have YARN run an application of one container, which ends as failed: it never registers."""
        api = "http://ip-172-31-0-10:8088/ws/v1/cluster/apps"
        made = self.run(
            f"curl -s -X POST '{api}/new-application?user.name=hadoop' | grep -o 'application_[0-9_]*' | head -1"
        )
        body = (
            f'{{"applicationId":"{made}","applicationName":"load","applicationType":"YARN","maxAppAttempts":1,'
            f'"queue":"default","containerLaunchContextInfo":{{"commands":["{command}"]}},'
            f'"resource":{{"memory":{megabytes},"vCores":1}}}}'
        )
        self.run(f"curl -sf -X POST -H 'Content-Type: application/json' '{api}?user.name=hadoop' -d '{body}'")

    def spark(self, name: str, program: str, properties: dict[str, str]) -> str:
        """Have YARN run an application of Spark, and return its id.

        :param program: in Python
        :param properties: of Spark, as in its file spark-defaults.conf
        """
        options = " ".join(f"--conf {shlex.quote(f'{key}={value}')}" for key, value in properties.items())
        self.run(f"cat >/srv/{name}.py <<'END'\n{program}END")
        said = self.run(f"{SPARK} --name {name} {options} /srv/{name}.py 2>&1")
        return str(re.findall(r"Submitted application (\w+)", said)[0])
