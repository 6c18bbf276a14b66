"""Edits of users, groups and grants in SQL: each plain code on the connection of a transaction.

Edits are rare, so they queue: each begins by locking one row, and what it reads stays true.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packaging.utils import NormalizedName
from sqlalchemy import Connection, delete, insert, select, update
from ulid import ULID

from app import errors
from app.access import tables
from app.access.base import UNBOUND
from app.access.principals import is_name
from app.models import Permission
from app.sql.database import AnyRow

_users = tables.users.c
_groups = tables.groups.c
_members = tables.members.c
_grants = tables.grants.c
BY_NAME = ""
"""The generation of a member whom another backend knows: whoever has the name."""


REGISTRATION = select(tables.facts.c.value).where(tables.facts.c.name == "registration")
"""A row while anybody may register."""


EDITION = select(tables.facts.c.value).where(tables.facts.c.name == "edition")
"""A row that every edit changes."""


def queue(connection: Connection) -> None:
    """Wait until no other edit is under way, of whatever process; this is one."""
    connection.execute(select(tables.layout.c.version).with_for_update())
    made = str(ULID())
    row = update(tables.facts).where(tables.facts.c.name == "edition").values(value=made)
    if connection.execute(row).rowcount == 0:
        connection.execute(insert(tables.facts).values(name="edition", value=made))


def standing(*, disabled: bool, pending: bool) -> dict[str, Any]:
    """The columns that say whether somebody is let in; see tables."""
    return {"disabled": disabled or pending, "pending": (1 + disabled) if pending else 0}


def is_disabled(row: AnyRow) -> bool:
    """Whether an admin disabled the user of this row."""
    return row.pending == 2 if row.pending else bool(row.disabled)


def add_user(connection: Connection, row: Mapping[str, Any]) -> None:
    """Raises errors.UserExists."""
    if _find(connection, row["name"]) is not None:
        raise errors.UserExists(row["name"])
    connection.execute(insert(tables.users).values(row))


def set_user(connection: Connection, name: str, values: Mapping[str, Any]) -> None:
    """Raises errors.UserNotFound."""
    user(connection, name)
    connection.execute(update(tables.users).where(_users.name == name.lower()).values(values))


def set_disabled(connection: Connection, name: str, disabled: bool) -> None:
    """Raises errors.UserNotFound. What was proved before ends."""
    row = user(connection, name)
    values = standing(disabled=disabled, pending=bool(row.pending))
    if disabled:
        values["pw_version"] = row.pw_version + 1
    set_user(connection, row.name, values)


def approve(connection: Connection, name: str) -> None:
    """Raises errors.UserNotFound."""
    row = user(connection, name)
    set_user(connection, row.name, standing(disabled=is_disabled(row), pending=False))


def delete_user(connection: Connection, name: str) -> None:
    """Raises errors.UserNotFound. A later user of this name is somebody else."""
    row = user(connection, name)
    connection.execute(delete(tables.users).where(_users.name == row.name))
    connection.execute(delete(tables.members).where(_members.user_name == row.name))
    connection.execute(delete(tables.grants).where(_grants.principal == f"user:{row.name}"))


def add_group(connection: Connection, name: str) -> None:
    """Raises errors.GroupExists."""
    if _has_group(connection, name):
        raise errors.GroupExists(name)
    connection.execute(insert(tables.groups).values(name=name))


def delete_group(connection: Connection, name: str) -> None:
    """Raises errors.GroupNotFound."""
    _must_have_group(connection, name)
    connection.execute(delete(tables.groups).where(_groups.name == name))
    connection.execute(delete(tables.members).where(_members.group_name == name))
    connection.execute(delete(tables.grants).where(_grants.principal == f"group:{name}"))


def set_member(
    connection: Connection, group: str, name: str, member: bool, *, strangers: bool
) -> None:
    """Raises errors.GroupNotFound, and errors.UserNotFound unless ``strangers`` may be members."""
    _must_have_group(connection, group)
    row = _find(connection, name)
    if row is None and not strangers:
        raise errors.UserNotFound(name)
    one = (_members.group_name == group) & (_members.user_name == name)
    connection.execute(delete(tables.members).where(one))
    if member:
        generation = BY_NAME if row is None else row.generation
        added = {"group_name": group, "user_name": name, "generation": generation}
        connection.execute(insert(tables.members).values(added))


def grant(
    connection: Connection,
    project: NormalizedName,
    generation: str,
    principal: str,
    permissions: frozenset[Permission],
    *,
    strangers: bool,
) -> None:
    """Set what a principal has; errors.UserNotFound and errors.GroupNotFound for strangers."""
    if not strangers and permissions:
        _must_know(connection, principal)
    key = {"project": project, "generation": generation, "principal": principal}
    connection.execute(delete(tables.grants).filter_by(**key))
    if permissions:
        rows = [{**key, "permission": permission.value} for permission in sorted(permissions)]
        connection.execute(insert(tables.grants), rows)


def bind(connection: Connection, project: NormalizedName, generation: str) -> None:
    """Whom something was granted by generation keeps that; the others get what is unbound."""
    here = _grants.project == project
    own = select(_grants.principal).where(here, _grants.generation == generation)
    bound = set(connection.execute(own).scalars())
    loose = select(tables.grants).where(here, _grants.generation == UNBOUND)
    rows = [
        {**row, "generation": generation}
        for row in connection.execute(loose).mappings()
        if row["principal"] not in bound
    ]
    if rows:
        connection.execute(insert(tables.grants), rows)
    connection.execute(delete(tables.grants).where(here, _grants.generation == UNBOUND))


def forget(connection: Connection, project: NormalizedName, generation: str) -> None:
    """Drop the grants of one generation."""
    ended = (_grants.project == project) & (_grants.generation == generation)
    connection.execute(delete(tables.grants).where(ended))


def registration(connection: Connection) -> bool:
    """Whether anybody may register."""
    return connection.execute(REGISTRATION).first() is not None


def set_registration(connection: Connection, open: bool) -> None:
    """Open or close it."""
    if open != registration(connection):
        closed = delete(tables.facts).where(tables.facts.c.name == "registration")
        opened = insert(tables.facts).values(name="registration", value="open")
        connection.execute(opened if open else closed)


def user(connection: Connection, name: str) -> AnyRow:
    """The row of a user; errors.UserNotFound."""
    row = _find(connection, name)
    if row is None:
        raise errors.UserNotFound(name)
    return row


def _find(connection: Connection, name: str) -> AnyRow | None:
    if not is_name(name):  # signs that are not ASCII may have an ASCII one as lower case
        return None
    return connection.execute(select(tables.users).where(_users.name == name.lower())).one_or_none()


def _has_group(connection: Connection, name: str) -> bool:
    if not is_name(name):
        return False
    return connection.execute(select(_groups.name).where(_groups.name == name)).first() is not None


def _must_have_group(connection: Connection, name: str) -> None:
    if not _has_group(connection, name):
        raise errors.GroupNotFound(name)


def _must_know(connection: Connection, principal: str) -> None:
    kind, _, name = principal.partition(":")
    if kind == "user":
        user(connection, name)
    elif kind == "group":
        _must_have_group(connection, name)
