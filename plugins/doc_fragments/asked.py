"""What the documentation of the modules says of how a service is asked."""

from __future__ import annotations


class ModuleDocFragment:
    """Ansible's entry point."""

    DOCUMENTATION = r"""
options:
  ready_url:
    description: A URL that answers HTTP 200 (a redirect does not count) once the service works.
    type: str
  loaded:
    description: How the service tells when it last loaded its configuration. If there is a gauge that ends in
      C(_successful) where the named one ends in C(_success_timestamp_seconds), a 0 there means refused.
      A service that does not tell loads it at its start and at a POST to O(reload_url).
    type: dict
    suboptions:
      url:
        description: A page of metrics in Prometheus' text format.
        type: str
        required: true
      metric:
        description: The gauge with the time of the last successful load, in seconds since the epoch.
        type: str
        required: true
  reload_url:
    description: Where a POST makes the service load its configuration again, in place of C(systemctl reload).
    type: str
  url_username:
    description: The user name for all URLs, sent as basic authentication.
    type: str
  url_password:
    description: The password for all URLs.
    type: str
  certificate_path:
    description: A PEM file. The service has to present the first certificate in it; no other is trusted and the name in
      it does not matter, since the service is asked at an address of the node.
    type: path
  admin:
    description: How Grafana is made to let O(url_username) in with O(url_password).
    type: dict
    suboptions:
      url:
        description: A URL that answers HTTP 200 to the user alone.
        type: str
        required: true
      reset:
        description: The command that gives the administrator the password that it reads.
        type: list
        elements: str
        required: true
      tree:
        description: The tree that changes when the password does.
        type: str
        required: true
      database:
        description: Grafana's SQLite database, which tells whether the password is the user's without a question that
          counts as a wrong one. Without it only Grafana knows.
        type: path
      attempts:
        description: How many wrong passwords within five minutes lock a user out.
        type: int
        default: 5
  questions:
    description: What the service is asked once it works.
    type: dict
    suboptions:
      kind:
        description: Which service it is.
        type: str
        choices: [prometheus, grafana, alertmanager]
        required: true
      about:
        description: What the kind wants to know, which are the fields of its class in C(module_utils/questions_*.py).
        type: dict
        required: true
      wait:
        description: For how many seconds to wait for what the service has yet to do by itself, such as a first scrape.
          What will take longer is not waited for.
        type: float
        default: 0
"""
