"""Find the keys of AWS that Prometheus would sign with, in the order in which its SDK looks for them."""

from __future__ import annotations

import configparser
import http.client
import json
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.emr.monitoring.plugins.module_utils.remote_sigv4 import Keys

# The metadata service of EC2, which answers at once or is not there.
METADATA, METADATA_TIMEOUT = "http://169.254.169.254", 2.0
ROLE = "/latest/meta-data/iam/security-credentials/"
# Ways to get keys that only the SDK goes.
OTHER_WAYS = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
FILE = "AWS_SHARED_CREDENTIALS_FILE"


class NoKeysError(Exception):
    """There are no keys, and Prometheus does not start without them; the text says where they were looked for."""


def find_keys(sigv4: Mapping[str, Any], environment: Mapping[str, str], read: Callable[[str], str]) -> Keys | None:
    """Return the keys, None where they come in a way that only the SDK goes; raise NoKeysError where there are none.

    :param sigv4: the section of that name of an entry
    :param environment: what is set for the process of Prometheus
    :param read: returns the text of a file, or raises OSError
    """
    path, profile = environment.get(FILE, ""), sigv4.get("profile")
    if profile:
        section = _section(read, path, profile)
        if section is None:
            raise NoKeysError(f"{path or 'no file that AWS_SHARED_CREDENTIALS_FILE names'} holds no profile {profile}")
        return _keys(section, "aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    found = _keys(environment, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    if found or any(way in environment for way in OTHER_WAYS):
        return found
    section = _section(read, path, "default")
    if section is not None:
        return _keys(section, "aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return _of_the_role(environment)


def _keys(values: Mapping[str, str], access: str, secret: str, token: str) -> Keys | None:
    if not values.get(access) or not values.get(secret):
        return None
    return Keys(values[access], values[secret], values.get(token, ""))


def _section(read: Callable[[str], str], path: str, name: str) -> Mapping[str, str] | None:
    if not path:
        return None
    # A secret may hold a %.
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(read(path))
    except (OSError, configparser.Error):
        return None
    return parser[name] if parser.has_section(name) else None


def _of_the_role(environment: Mapping[str, str]) -> Keys:
    """Return the keys of the instance's role, which the metadata service tells in two steps (IMDSv2)."""
    base = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", METADATA).rstrip("/")
    if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        raise NoKeysError("prometheus_environment disables the metadata service, and holds no keys")
    try:
        token = _asked(f"{base}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "PUT")
        headers = {"X-aws-ec2-metadata-token": token}
        role = _asked(base + ROLE, headers).split("\n")[0]
        told = json.loads(_asked(base + ROLE + role, headers))
        return Keys(told["AccessKeyId"], told["SecretAccessKey"], told["Token"])
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        raise NoKeysError(f"the metadata service of EC2 names no role of this node ({error})") from error


def _asked(url: str, headers: Mapping[str, str], method: str = "GET") -> str:
    request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310
    # No proxy: what the metadata service tells is for this node alone.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=METADATA_TIMEOUT) as response:
        return str(response.read().decode())
