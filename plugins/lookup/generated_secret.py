"""Read a secret that was generated once and is kept on the controller."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: generated_secret
author: EMR monitoring
version_added: "1.0.0"
short_description: A secret that the module generated_secrets keeps in a file
description:
  - Returns what a file on the controller holds, without white space at its end. Never writes.
  - Where there is no such file it returns an empty text, for a default that is undefined, thus no known password can
    go live. In check mode, where nothing goes live, it returns a placeholder, so that a first run can be shown.
options:
  _terms:
    description: Paths of the files.
    required: true
  length:
    description: The length of a placeholder, up to 64.
    type: int
    default: 32
  generated_secret_placeholder:
    description: Whether a placeholder stands for a file that does not exist. Where it is not set, in check mode alone.
    type: bool
    vars: [{name: generated_secret_placeholder}]
"""

EXAMPLES = """
- name: Ask a service with its generated password
  ansible.builtin.uri:
    url: http://localhost:9090/-/ready
    url_username: admin
    url_password: "{{ lookup('emr.monitoring.generated_secret', 'secrets/prometheus_password')
      | default(undef(hint='Run site.yml first.'), true) }}"
"""

RETURN = """
_raw:
  description: The secret in each file.
  type: list
  elements: str
"""


def placeholder(path: Path, length: int) -> str:
    """Return what stands for a secret that does not exist yet: the same at each call, another one for each file."""
    return hashlib.sha256(str(path).encode()).hexdigest()[:length]


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **options: Any) -> list[str]:
        """Return the secret of each path.

        :raises AnsibleLookupError: a file cannot be read, or is empty
        """
        self.set_options(var_options=variables, direct=options)
        wanted = self.get_option("generated_secret_placeholder")
        if wanted is None:
            wanted = boolean((variables or {}).get("ansible_check_mode", False))
        paths = [Path(self._loader.path_dwim(term)) for term in terms]
        return [
            self._secret(path) or (placeholder(path, self.get_option("length")) if wanted else "") for path in paths
        ]

    def _secret(self, path: Path) -> str:
        try:
            secret = path.read_text("utf-8").rstrip()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise AnsibleLookupError(
                f"The secret in {path} cannot be read: {error.strerror}. Give the file to the user who runs Ansible."
            ) from error
        except UnicodeDecodeError:
            raise AnsibleLookupError(f"{path} holds no text: {self._remedy(path)}") from None
        if not secret:
            raise AnsibleLookupError(f"{path} is empty: {self._remedy(path)}")
        return secret

    @staticmethod
    def _remedy(path: Path) -> str:
        return (
            "write the secret into it, or remove it and run site.yml once with -e monitoring_secrets_from_node=true "
            f"for the node's, or with -e monitoring_secrets_replace={path.name} for a new one."
        )
