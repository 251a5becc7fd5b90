"""Hash a password for the web configuration of Prometheus and Alertmanager."""

from __future__ import annotations

import base64
import re
from functools import lru_cache

from ansible.errors import AnsibleFilterError

try:
    import bcrypt
except ImportError:
    bcrypt = None  # type: ignore[assignment]

SALT = re.compile("[A-Za-z0-9]{22}")


def bcrypt_hash(password: str | int, salt: str, variable: str) -> str:
    """Return the bcrypt hash of a password, the same one for the same salt.

    :param password: 72 bytes at most, which is all that bcrypt looks at; digits may be a number
    :param salt: 22 random letters and digits, to be kept as long as the password: Ansible's own filter takes a new
        salt in each run, and the node's file would change with it
    :param variable: name of the password's variable, for errors; that of the salt ends in ``_salt``
    :raises AnsibleFilterError: the password is too long, the salt is none, or the package bcrypt is missing
    """
    if bcrypt is None:
        raise AnsibleFilterError("The Python package bcrypt is missing: pip install --requirement requirements.txt")
    text = str(password)
    if len(text.encode()) > 72:
        raise AnsibleFilterError(f"{variable} has more than 72 bytes, and bcrypt takes no more: shorten it.")
    if not SALT.match(str(salt)):
        raise AnsibleFilterError(
            f"{variable}_salt does not begin with 22 characters of A-Z, a-z and 0-9: set it to some, or remove its "
            f"file and run site.yml once with -e monitoring_secrets_replace={variable}_salt, which makes a new one."
        )
    return _hashed(text, str(salt)[:22])


@lru_cache
def _hashed(password: str, salt: str) -> str:
    """Return the hash, which takes long on purpose, and which one task asks for with each use of its configuration."""
    # 22 letters hold the 16 bytes that bcrypt wants; its own alphabet is another order of the same letters.
    encoded = base64.b64encode(base64.b64decode(salt + "==")).rstrip(b"=").translate(_ALPHABET)
    return str(bcrypt.hashpw(password.encode(), b"$2b$10$" + encoded).decode())


_ALPHABET = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
)
