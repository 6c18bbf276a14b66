"""The tables of the ledger, and laying them out. Portable: no dialect's own types.

Times are microseconds since 1970, so that every database keeps and compares them alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    insert,
    select,
    text,
)

from app import errors

VERSION = 1
"""Raised with every change of the layout."""
UNBOUND = ""
"""What stands for no generation."""

_PREFIX = "pypicloud_ledger_"
_MYSQL = ("mysql", "mariadb")
_LOCK = 0x7079706C
_NAME = "MD5(CONCAT(DATABASE(), '/pypicloud-ledger'))"
_OPTIONS: dict[str, Any] = {
    f"{name}_{option}": value
    for name in _MYSQL
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _key(length: int) -> String:
    """Compared by code points, everywhere."""
    return (
        String(length)
        .with_variant(String(length, collation="C"), "postgresql")
        .with_variant(String(length, collation="utf8mb4_bin"), *_MYSQL)
    )


_JSON = LargeBinary(2**24 - 1)

metadata = MetaData()

layout = Table(
    f"{_PREFIX}layout",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    **_OPTIONS,
)

tokens = Table(
    f"{_PREFIX}tokens",
    metadata,
    Column("id", _key(12), primary_key=True),
    Column("owner", _key(64), index=True),
    Column("publisher", _key(64), index=True),
    Column("parent", _key(12), index=True),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False, index=True),
    Column("last_used", BigInteger),
    Column("body", _JSON, nullable=False),  # all else but the projects of the scope
    **_OPTIONS,
)

token_projects = Table(
    f"{_PREFIX}token_projects",
    metadata,
    Column("token", _key(12), primary_key=True),
    Column("project", _key(200), primary_key=True),  # or a pattern
    Column("generation", _key(64), nullable=False),
    **_OPTIONS,
)
Index(f"{token_projects.name}_project", token_projects.c.project)

publishers = Table(
    f"{_PREFIX}publishers",
    metadata,
    Column("id", _key(64), primary_key=True),
    Column("project", _key(200), nullable=False, index=True),
    Column("generation", _key(64), nullable=False),
    Column("issuer", _key(255), nullable=False, index=True),
    Column("same", _key(64), nullable=False),  # equal where nothing tells two apart
    Column("added", BigInteger, nullable=False),
    Column("pinned", _JSON, nullable=False),
    Column("body", _JSON, nullable=False),
    **_OPTIONS,
)
Index(f"{publishers.name}_same", publishers.c.same, publishers.c.generation, unique=True)

sessions = Table(
    f"{_PREFIX}sessions",
    metadata,
    Column("digest", _key(64), primary_key=True),
    Column("user", _key(64), nullable=False, index=True),
    Column("seen", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False, index=True),
    Column("body", _JSON, nullable=False),
    **_OPTIONS,
)

subjects = Table(
    f"{_PREFIX}subjects",
    metadata,
    Column("subject", _key(64), primary_key=True),  # the SHA-256 of issuer and subject
    Column("issuer", _key(64), nullable=False),  # its SHA-256
    Column("user", _key(64), nullable=False),
    **_OPTIONS,
)
Index(f"{subjects.name}_user", subjects.c.user, subjects.c.issuer, unique=True)

once = Table(
    f"{_PREFIX}once",
    metadata,
    Column("kind", _key(32), primary_key=True),
    Column("id", _key(64), primary_key=True),  # its SHA-256
    Column("until", BigInteger, nullable=False, index=True),
    **_OPTIONS,
)

attempts = Table(
    f"{_PREFIX}attempts",
    metadata,
    Column("key", _key(64), primary_key=True),  # its SHA-256
    Column("until", BigInteger, nullable=False, index=True),
    Column("times", _JSON, nullable=False),  # eight bytes each, ascending
    **_OPTIONS,
)

trail = Table(
    f"{_PREFIX}trail",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("action", _key(64), nullable=False, index=True),
    Column("actor", _key(200), nullable=False, index=True),
    Column("target", _key(500), nullable=False, index=True),
    Column("body", _JSON, nullable=False),
    **_OPTIONS,
)

head = Table(
    f"{_PREFIX}head",
    metadata,
    Column("name", _key(16), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("head", _key(64), nullable=False),
    **_OPTIONS,
)
"""The row ``trail``: the newest entry, and the lock of every append."""


def lay_out(connection: Connection) -> None:
    """Create what is missing; errors.Misconfigured where a later release was here before."""
    with _alone(connection):
        metadata.create_all(connection)
        version = connection.execute(select(layout.c.version)).scalar_one_or_none()
        if version is None:
            connection.execute(insert(layout).values(version=VERSION))
            connection.execute(insert(head).values(name="trail", number=0, head=""))
        elif version > VERSION:
            raise errors.Misconfigured(
                "The ledger is kept in the layout of a later release; upgrade this one."
            )


def micros(time: datetime) -> int:
    """A time as it is kept."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def moment(micros: int) -> datetime:
    """A time as it was."""
    return _EPOCH + timedelta(microseconds=micros)


def packed(value: object) -> bytes:
    """A value of JSON as it is kept: one spelling for each."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Keeps the processes that start at once from making the same tables at once."""
    name = connection.dialect.name
    if name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    elif name in _MYSQL:
        connection.execute(text(f"SELECT GET_LOCK({_NAME}, 60)"))
    try:
        yield
    finally:
        if name in _MYSQL and not connection.invalidated:
            # Else the next process does not see what was written after the tables were made.
            connection.execute(text("COMMIT"))
            connection.execute(text(f"SELECT RELEASE_LOCK({_NAME})"))
