"""The tables of access, and laying them out. Portable: no dialect's own types."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    select,
)
from sqlalchemy.schema import CreateTable

from app import errors

VERSION = 1
"""Raised with every change of the layout."""

metadata = MetaData()

layout = Table(
    "access_layout",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)

# generation tells a user from an earlier one of the same name; pw_version ends what was
# proved by an earlier password: it moves on with a new password and when the user is disabled.
users = Table(
    "access_users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("generation", String(26), nullable=False),
    Column("password", String(255), nullable=False),
    Column("pw_version", Integer, nullable=False),
    Column("admin", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
)

grants = Table(
    "access_grants",
    metadata,
    Column("project", String(200), primary_key=True),
    Column("generation", String(64), primary_key=True),
    Column("principal", String(80), primary_key=True),
    Column("permission", String(16), primary_key=True),
)


def lay_out(connection: Connection) -> None:
    """Create what is missing; errors.Misconfigured where a later release was here before."""
    for table in metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
    version = connection.execute(select(layout.c.version)).scalar_one_or_none()
    if version is None:
        connection.execute(insert(layout).values(version=VERSION))
    elif version > VERSION:
        raise errors.Misconfigured(
            "The users are kept in the layout of a later release; upgrade this one."
        )
