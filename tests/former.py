"""Whole sites of PyPICloud 1.3.12: its configuration, its files, and who was who."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from passlib import hash as others

SCHEMA = """
CREATE TABLE pypicloud_users (username VARCHAR(255) NOT NULL PRIMARY KEY, password TEXT NOT NULL,
    admin BOOLEAN NOT NULL, pending BOOLEAN NOT NULL);
CREATE TABLE pypicloud_groups (name VARCHAR(255) NOT NULL PRIMARY KEY);
CREATE TABLE pypicloud_user_groups (
    username VARCHAR(255) NOT NULL REFERENCES pypicloud_users ON DELETE CASCADE,
    "group" VARCHAR(255) NOT NULL REFERENCES pypicloud_groups ON DELETE CASCADE,
    PRIMARY KEY (username, "group"));
CREATE TABLE pypicloud_user_permissions (package VARCHAR(255) NOT NULL,
    username VARCHAR(255) NOT NULL REFERENCES pypicloud_users ON DELETE CASCADE,
    read BOOLEAN, write BOOLEAN, PRIMARY KEY (package, username));
CREATE TABLE pypicloud_group_permissions (package VARCHAR(255) NOT NULL,
    groupname VARCHAR(255) NOT NULL REFERENCES pypicloud_groups ON DELETE CASCADE,
    read BOOLEAN, write BOOLEAN, PRIMARY KEY (package, groupname));
CREATE TABLE pypicloud_keyvals (key VARCHAR(255) NOT NULL PRIMARY KEY, value TEXT);
"""
FORMATS = {
    "sha512_crypt": others.sha512_crypt.using(rounds=20500),
    "sha256_crypt": others.sha256_crypt.using(rounds=16000),
    "pbkdf2_sha512": others.pbkdf2_sha512.using(rounds=10500),
    "pbkdf2_sha256": others.pbkdf2_sha256.using(rounds=13000),
    "bcrypt": others.bcrypt.using(rounds=7),
    "argon2": others.argon2.using(time_cost=1, memory_cost=1024, parallelism=4),
}
"""All six, with the rounds that it gave them (and less memory)."""


def password(user: str) -> str:
    """What somebody logs in with; plainer than the rules of today allow."""
    return f"{user} pass"


def hashes() -> Mapping[str, str]:
    """The hash of a user's password by the user's name, one for each format."""
    return {
        f"user-{name.replace('_', '-')}": make.hash(password(f"user-{name.replace('_', '-')}"))
        for name, make in FORMATS.items()
    }


def ini(file: Path, options: Mapping[str, str | Iterable[str]]) -> Path:
    """Write a configuration as ``ppc-make-config`` lays it out; lists are lines."""
    lines = ["[app:main]", "use = egg:pypicloud", "pyramid.default_locale_name = en", ""]
    for name, value in options.items():
        if isinstance(value, str):
            lines.append(f"{name} = {value}")
        else:
            lines += [f"{name} =", *(f"    {one}" for one in value)]
    lines += ["", "[server:main]", "use = egg:waitress#main", "host = 127.0.0.1", "port = 6543"]
    lines += ["", "[loggers]", "keys = root", "", "[logger_root]", "level = INFO", "handlers ="]
    file.write_text("\n".join(lines) + "\n")
    return file


def database(
    file: Path,
    *,
    users: Mapping[str, str],
    admins: Iterable[str] = (),
    pending: Iterable[str] = (),
    groups: Mapping[str, Iterable[str]] | None = None,
    user_permissions: Iterable[tuple[str, str, bool, bool]] = (),
    group_permissions: Iterable[tuple[str, str, bool, bool]] = (),
    registration: bool = False,
) -> Path:
    """Write the access database in SQLite; permissions are (package, who, read, write)."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executescript(SCHEMA)
        rows = [(name, hash, name in admins, name in pending) for name, hash in users.items()]
        connection.executemany("INSERT INTO pypicloud_users VALUES (?, ?, ?, ?)", rows)
        for group, members in (groups or {}).items():
            connection.execute("INSERT INTO pypicloud_groups VALUES (?)", (group,))
            belongs = [(member, group) for member in members]
            connection.executemany("INSERT INTO pypicloud_user_groups VALUES (?, ?)", belongs)
        for table, granted in (("user", user_permissions), ("group", group_permissions)):
            query = f"INSERT INTO pypicloud_{table}_permissions VALUES (?, ?, ?, ?)"
            connection.executemany(query, granted)
        if registration:
            connection.execute("INSERT INTO pypicloud_keyvals VALUES ('allow_register', 'true')")
    return file
