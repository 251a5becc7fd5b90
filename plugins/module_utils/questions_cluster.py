"""What Prometheus is asked of the cluster, and what to look at where one of its hosts or daemons tells nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.questions import shown

# What Hadoop says at its own page of metrics; see docs/cluster.md.
HADOOP = "/prom"
NO_TLS = "It does not speak TLS: is scheme in emr_cluster_hadoop right?"
HADOOP_REMEDIES = {
    "status 404": "It does not serve its metrics. Give the cluster the classification core-site with "
    '{"hadoop.prometheus.endpoint.enabled": "true"}: docs/cluster.md says how.',
    "status 401": "It wants to know who asks: set params in emr_cluster_hadoop. Prometheus does not speak Kerberos, "
    "which would have to leave /prom out: docs/cluster.md.",
    "x509": "Is ca in emr_cluster_hadoop the authority that signed its certificate?",
    "HTTP response to HTTPS client": NO_TLS,
    "does not look like a TLS handshake": NO_TLS,
    "unsupported Content-Type": "This is no page of Hadoop's metrics: is its port in emr_cluster_hadoop right?",
}
# The job of the hosts' own metrics, as plugins/filter/cluster_jobs.py names it.
HOSTS = "node"
HOST_NOT_THERE = (
    "On that host: does node_exporter.service run? Where it installed itself, "
    "/mnt/var/log/bootstrap-actions/emr-monitoring/node_exporter.log says why not. Does its "
    "security group let this node in?"
)
HOST_OTHER_LOGIN = (
    "That host has another login or certificate than this node. One of emr_workers gets them by site.yml; one that "
    "came by itself keeps what was in the bundle when it came: docs/cluster.md."
)
# The daemons that are UP and yet tell nothing of use, of the jobs that plugins/filter/cluster_jobs.py makes.
HADOOP_JOBS = {"hdfs", "yarn"}
HADOOP_SILENT = (
    'scrape_samples_scraped{job=~"hdfs|yarn"} == 0 and on (job, instance) up == 1 '
    'or startup_progress_percent_complete{job="hdfs"} < 1'
)
HADOOP_NOT_THERE = (
    "Does the daemon run on that host? Are emr_cluster_primaries and the ports in emr_cluster_hadoop right?"
)
# How EC2 and its client say that nobody may ask.
EC2_REFUSALS = ("UnauthorizedOperation", "AuthFailure", "NoCredentialProviders", "failed to refresh cached credentials")
EC2_REFUSED = (
    "The role of the node needs the right ec2:DescribeInstances: docs/cluster.md. Or list the nodes in emr_workers, "
    "with emr_cluster_discovery: inventory."
)


def silent(series: list[Mapping[str, Any]]) -> list[str]:
    """Say of each daemon of Hadoop that answers, and tells nothing of use, why."""
    sentences = []
    for each in series:
        labels, (_, value) = each["metric"], each["value"]
        who = f"The {shown(labels.get('component', 'daemon'))} on {shown(labels['instance'])}"
        if labels["__name__"] == "scrape_samples_scraped":
            sentences.append(
                f"{who} answers, and with nothing: no metrics are registered there. A NodeManager in which the "
                "timeline service v2 runs does so: docs/cluster.md."
            )
        else:
            sentences.append(
                f"{who} is still starting ({float(value):.0%} of it): what it tells of HDFS comes when it has loaded."
            )
    return sorted(sentences)


def missing_right(error: str) -> str:
    """Return what to look at where EC2 does not answer as a discovery wants it to."""
    return EC2_REFUSED if any(sign in error for sign in EC2_REFUSALS) else ""


def cluster_remedy(job: str, url: str, error: str) -> str:
    """Return what to look at where a target of the cluster is down; empty for one of another job."""
    if job == HOSTS:
        return HOST_OTHER_LOGIN if "status 401" in error or "x509" in error else HOST_NOT_THERE
    if url.partition("?")[0].endswith(HADOOP):
        return next((remedy for sign, remedy in HADOOP_REMEDIES.items() if sign in error), HADOOP_NOT_THERE)
    return ""
