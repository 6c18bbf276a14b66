"""The tables of access, laying them out, and bringing those of earlier releases up to date."""

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
    inspect,
    select,
    text,
    update,
)

from app import errors
from app.sql.tables import OPTIONS, Alone, key

VERSION = 2
"""Raised with every change of the layout. What an earlier release reads and writes goes on to
mean the same: it may still run beside this one."""

metadata = MetaData()

layout = Table(
    "access_layout",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    **OPTIONS,
)

# generation tells a user from an earlier one of the same name; pw_version ends what was
# proved by an earlier password: it moves on with a new password and when the user is disabled.
# Since version 2: who is pending is marked disabled as well, for releases before that do not
# know of it; pending is 0, 1, or 2 for who is disabled besides.
users = Table(
    "access_users",
    metadata,
    Column("name", key(64), primary_key=True),
    Column("generation", key(26), nullable=False),
    Column("password", String(255), nullable=False),
    Column("pw_version", Integer, nullable=False),
    Column("admin", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("pending", Integer, nullable=False, server_default="0"),
    **OPTIONS,
)

grants = Table(
    "access_grants",
    metadata,
    Column("project", key(200), primary_key=True),
    Column("generation", key(64), primary_key=True),
    Column("principal", key(80), primary_key=True),
    Column("permission", key(16), primary_key=True),
    **OPTIONS,
)

groups = Table("access_groups", metadata, Column("name", key(64), primary_key=True), **OPTIONS)

# generation is the user's, so that a later user of the name is in no group; empty for somebody
# whom another backend knows.
members = Table(
    "access_members",
    metadata,
    Column("user_name", key(64), primary_key=True),
    Column("group_name", key(64), primary_key=True),
    Column("generation", key(26), nullable=False),
    **OPTIONS,
)

facts = Table(
    "access_facts",
    metadata,
    Column("name", key(32), primary_key=True),
    Column("value", String(255), nullable=False),
    **OPTIONS,
)
"""The row ``registration`` is there while anybody may register."""


def lay_out(connection: Connection) -> None:
    """Create what is missing; errors.Misconfigured where a later release was here before."""
    # The version is written last: where it is the present one, nobody need wait for anybody.
    if _version(connection) != VERSION:
        with Alone(connection):
            _lay_out(connection)


def _version(connection: Connection) -> int | None:
    if not inspect(connection).has_table(layout.name):
        return None
    found: int | None = connection.execute(select(layout.c.version)).scalar_one_or_none()
    return found


def _lay_out(connection: Connection) -> None:
    version = _version(connection)
    if version is not None and version > VERSION:
        raise errors.Misconfigured(
            "The users are kept in the layout of a later release; upgrade this one."
        )
    metadata.create_all(connection)
    if version is None:
        connection.execute(insert(layout).values(version=VERSION))
    elif version < 2:
        _add_pending(connection)
        _name_groups(connection)
        connection.execute(update(layout).values(version=2))


def _add_pending(connection: Connection) -> None:
    """Version 2; done already where MySQL, which commits in between, was stopped after it."""
    columns = {column["name"] for column in inspect(connection).get_columns(users.name)}
    if users.c.pending.name not in columns:
        added = f"ALTER TABLE {users.name} ADD COLUMN pending INTEGER DEFAULT 0 NOT NULL"
        connection.execute(text(added))


def _name_groups(connection: Connection) -> None:
    """Version 1 had no groups, but grants to them."""
    to_groups = select(grants.c.principal).distinct().where(grants.c.principal.like("group:%"))
    granted = {name.removeprefix("group:") for name in connection.execute(to_groups).scalars()}
    missing = granted - set(connection.execute(select(groups.c.name)).scalars())
    if missing:
        connection.execute(insert(groups), [{"name": name} for name in sorted(missing)])
