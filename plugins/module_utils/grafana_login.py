"""Look up a login in Grafana's database."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
import time
import urllib.request
from contextlib import closing
from typing import NamedTuple

# Of Grafana's brute force protection, and of its passwords.
LOCK_SECONDS = 300
HASH_ROUNDS, HASH_BYTES = 10_000, 50


class Login(NamedTuple):
    """What Grafana's database says of a user and a password; the fields are those of the module's `login`.

    `name` is the one to ask under.
    """

    name: str
    state: str = "unknown"
    locked_for: int = 0
    tried_from: tuple[str, ...] = ()


def stored_login(database: str, limit: int, username: str, password: str) -> Login:
    """Return what Grafana's SQLite file `database` says of a user now, without changing it.

    As Grafana 12.4 was seen to keep them: a password is 50 bytes of PBKDF2 with SHA-256 and 10,000 rounds; a name
    that was sent, in lower case, is refused while `limit` attempts at it are not older than 300 s.
    """
    now = int(time.time())
    try:
        with closing(sqlite3.connect(f"file:{urllib.request.pathname2url(database)}?mode=ro", uri=True)) as store:
            user = store.execute(
                "SELECT email, password, salt FROM user WHERE lower(?) IN (lower(login), lower(email))", (username,)
            ).fetchone()
            attempts = store.execute(
                "SELECT username, ip_address, created FROM login_attempt WHERE created >= ? ORDER BY created DESC",
                (now - LOCK_SECONDS,),
            ).fetchall()
    except sqlite3.Error:
        return Login(username)
    if user is None:
        return Login(username, "absent")
    if len(user[1] or "") != 2 * HASH_BYTES:
        return Login(username)
    email, stored, salt = user
    hashed = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), HASH_ROUNDS, HASH_BYTES).hex()
    names = list(filter(None, (username, email)))
    waits = []
    for name in names:
        times = [created for who, _, created in attempts if who == name.lower()]
        waits.append(times[limit - 1] + LOCK_SECONDS + 1 - now if len(times) >= limit else 0)
    shortest = min(waits)
    tried_from = {address for who, address, _ in attempts if who in map(str.lower, names)}
    return Login(
        # A right password that is refused is not counted, so asking does no harm.
        names[waits.index(0)] if shortest == 0 else username,
        "right" if hmac.compare_digest(hashed, stored) else "wrong",
        shortest,
        tuple(sorted(tried_from)),
    )
