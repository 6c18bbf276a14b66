"""Everything that access in SQL knows, read and brought in: each in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from packaging.utils import NormalizedName
from sqlalchemy import Connection, or_, select
from ulid import ULID

from app.access import edits, tables
from app.access.base import Account, Grants, People
from app.models import Permission
from app.sql.database import AnyRow

_live = (
    select(tables.members.c.group_name, tables.members.c.user_name)
    .outerjoin(tables.users, tables.users.c.name == tables.members.c.user_name)
    .where(
        or_(
            tables.members.c.generation == edits.BY_NAME,
            tables.members.c.generation == tables.users.c.generation,
        )
    )
    .subquery()
)
GROUPS = (
    select(tables.groups.c.name, _live.c.user_name)
    .outerjoin(_live, _live.c.group_name == tables.groups.c.name)
    .order_by(tables.groups.c.name)
)
"""A row for each member of each group, and one for a group without."""
UNUSABLE = "!"
"""In place of the hash of somebody who has no password here."""


def read(connection: Connection) -> People:
    """All of it."""
    users = connection.execute(select(tables.users).order_by(tables.users.c.name)).all()
    return People(
        accounts=tuple(_account(row) for row in users),
        groups=by_group(connection.execute(GROUPS)),
        grants=by_project(connection.execute(select(tables.grants))),
        registration=edits.registration(connection),
    )


def load(connection: Connection, people: People) -> None:
    """Add what is missing and set what differs; the people are in their one spelling."""
    before = read(connection)
    there = {account.name: account for account in before.accounts}
    for account in people.accounts:
        if account.name not in there:
            edits.add_user(connection, _row(account))
        else:
            _set(connection, there[account.name], account)
    for group, members in people.groups.items():
        if group not in before.groups:
            edits.add_group(connection, group)
        for name in sorted(members - before.groups.get(group, frozenset())):
            edits.set_member(connection, group, name, True, strangers=True)
    for (project, generation), grants in people.grants.items():
        granted = before.grants.get((project, generation), {})
        for principal, permissions in grants.items():
            if granted.get(principal, frozenset()) != permissions:
                edits.grant(connection, project, generation, principal, permissions, strangers=True)
    edits.set_registration(connection, people.registration)


def new_row(
    name: str, password: str, *, admin: bool, disabled: bool, pending: bool
) -> Mapping[str, Any]:
    """The row of somebody who comes."""
    return {
        "name": name,
        "generation": str(ULID()),
        "password": password,
        "pw_version": 1,
        "admin": admin,
        **edits.standing(disabled=disabled, pending=pending),
    }


def by_principal(rows: Iterable[AnyRow]) -> Grants:
    """The grants in rows of one project and generation."""
    found: dict[str, set[Permission]] = {}
    for row in rows:
        found.setdefault(row.principal, set()).add(Permission(row.permission))
    return {who: frozenset(permissions) for who, permissions in found.items()}


def by_project(rows: Iterable[AnyRow]) -> Mapping[tuple[NormalizedName, str], Grants]:
    """The grants in all rows."""
    found: dict[tuple[NormalizedName, str], list[AnyRow]] = {}
    for row in rows:
        found.setdefault((row.project, row.generation), []).append(row)
    return {key: by_principal(own) for key, own in found.items()}


def _account(row: AnyRow) -> Account:
    return Account(
        name=row.name,
        password=None if row.password == UNUSABLE else row.password,
        admin=row.admin,
        disabled=edits.is_disabled(row),
        pending=bool(row.pending),
    )


def by_group(rows: Iterable[AnyRow]) -> Mapping[str, frozenset[str]]:
    """The members in rows of GROUPS."""
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.name, set()).update([row.user_name] if row.user_name else [])
    return {name: frozenset(members) for name, members in found.items()}


def _row(account: Account) -> Mapping[str, Any]:
    return new_row(
        account.name,
        account.password or UNUSABLE,
        admin=account.admin,
        disabled=account.disabled,
        pending=account.pending,
    )


def _set(connection: Connection, before: Account, after: Account) -> None:
    if before.admin != after.admin:
        edits.set_user(connection, after.name, {"admin": after.admin})
    if before.pending != after.pending:
        values = edits.standing(disabled=before.disabled, pending=after.pending)
        edits.set_user(connection, after.name, values)
    if before.disabled != after.disabled:
        edits.set_disabled(connection, after.name, after.disabled)
