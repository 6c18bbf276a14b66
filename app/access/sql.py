"""Users, groups and grants in a SQL database, changed by this process and by others."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from packaging.utils import NormalizedName
from sqlalchemy import Connection, and_, bindparam, or_, select, update

from app import errors
from app.access import edits, engines, loading, tables
from app.access.base import UNBOUND, Grants, People, User
from app.access.engines import Database
from app.access.hashes import is_hash
from app.access.ledger import Ledger
from app.access.ledger_sql import SqlLedger
from app.access.passwords import Passwords
from app.access.people import normalized
from app.access.principals import AUTHENTICATED, folded, group_name, is_name, user_name
from app.access.principals import principal as principal_of
from app.models import Actor, Identity, Permission
from app.sql.database import AnyRow

T = TypeVar("T")

log = logging.getLogger(__name__)
_users = tables.users.c
_members = tables.members.c
_grants = tables.grants.c
# A row for each group that somebody is in, one in any case.
_PEOPLE = select(tables.users, _members.group_name).outerjoin(
    tables.members,
    and_(
        _members.user_name == _users.name,
        or_(_members.generation == _users.generation, _members.generation == edits.BY_NAME),
    ),
)
_SOMEBODY = _PEOPLE.where(_users.name == bindparam("name"))
_GRANTS = select(tables.grants).where(
    _grants.project == bindparam("project"),
    or_(_grants.generation == bindparam("generation"), _grants.generation == UNBOUND),
)


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[SqlAccess]:
    """Open the users of this URL, creating file and tables where there are none.

    Options: ``password_min_length`` (bytes), ``password_memory`` (KiB) and
    ``password_passes`` of argon2id, ``hash_threads`` and ``hash_queue``; ``strangers``: groups
    and grants may name whom another backend knows; and those of engines. Raises
    errors.Misconfigured for a URL, an option or a database that cannot work.
    """
    passwords = Passwords.of(options)
    try:
        async with engines.opened(url, options) as database:
            yield SqlAccess(database, passwords, strangers=options.get("strangers", False))
    finally:
        await passwords.close()


class SqlAccess:
    """An EditableAccess over SQL. Every question reads the database, argon2 alone is remembered."""

    hashes = True
    """A refusal costs a hash."""

    def __init__(
        self, database: Database, passwords: Passwords, *, strangers: bool = False
    ) -> None:
        self._database, self._passwords, self._strangers = database, passwords, strangers
        self._renewing: set[str] = set()
        self.pools = {**database.plain.pools, "hashes": passwords.pool}
        self.ledger: Ledger = SqlLedger(database.plain)

    async def identify(self, username: str, password: str) -> Identity | None:
        rows = await self._somebody(username)
        if not rows or _shut(rows[0]):
            await self._passwords.verify(None, password, stamp=username[:64])
            return None
        account = rows[0]
        stamp = f"{account.name} {account.generation} {account.pw_version}"
        if not await self._passwords.verify(account.password, password, stamp=stamp):
            return None
        if self._passwords.outdated(account.password):
            await self._renew(account, password)
        return _identity(rows)

    async def spend(self) -> None:
        """Cost what a wrong password costs."""
        await self._passwords.verify(None, secrets.token_hex(16), stamp=secrets.token_hex(8))

    async def known(self, username: str) -> Identity | None:
        rows = await self._somebody(username)
        return None if not rows or _shut(rows[0]) else _identity(rows)

    async def memberships(self, username: str) -> frozenset[str]:
        """The groups that somebody is in whom another backend knows."""
        if not is_name(username):
            return frozenset()
        own = (_members.user_name == username.lower()) & (_members.generation == edits.BY_NAME)
        rows = await self._database.ask(select(_members.group_name).where(own))
        return frozenset(row.group_name for row in rows)

    async def grants(self, project: NormalizedName, generation: str | None) -> Grants:
        where = {"project": project, "generation": UNBOUND if generation is None else generation}
        rows = await self._database.ask(_GRANTS, where)
        bound = [row for row in rows if row.generation != UNBOUND]
        loose = [row for row in rows if row.generation == UNBOUND]
        return {**loading.by_principal(loose), **loading.by_principal(bound)}

    async def all_grants(self) -> Mapping[tuple[NormalizedName, str], Grants]:
        return loading.by_project(await self._database.ask(select(tables.grants)))

    async def people(self) -> People:
        return await self._database.change(loading.read)

    async def users(self) -> Sequence[User]:
        found: dict[str, list[AnyRow]] = {}
        for row in await self._database.ask(_PEOPLE.order_by(_users.name)):
            found.setdefault(row.name, []).append(row)
        return [_user(rows) for rows in found.values()]

    async def user(self, name: str) -> User | None:
        rows = await self._somebody(name)
        return _user(rows) if rows else None

    async def add_user(
        self, name: str, password: str, *, admin: bool = False, pending: bool = False
    ) -> None:
        name = user_name(name)
        hashed = await self._passwords.hash(password, name)
        row = loading.new_row(name, hashed, admin=admin, disabled=False, pending=pending)
        await self._edit(partial(edits.add_user, row=row))

    async def set_password(self, name: str, password: str) -> None:
        if await self.user(name) is None:
            raise errors.UserNotFound(name)
        hashed = await self._passwords.hash(password, name)
        values = {"password": hashed, "pw_version": _users.pw_version + 1}
        await self._edit(partial(edits.set_user, name=name, values=values))

    async def set_admin(self, name: str, admin: bool) -> None:
        await self._edit(partial(edits.set_user, name=name, values={"admin": admin}))

    async def set_disabled(self, name: str, disabled: bool) -> None:
        await self._edit(partial(edits.set_disabled, name=name, disabled=disabled))

    async def approve(self, name: str) -> None:
        await self._edit(partial(edits.approve, name=name))

    async def delete_user(self, name: str) -> None:
        await self._edit(partial(edits.delete_user, name=name))

    async def groups(self) -> Mapping[str, frozenset[str]]:
        return loading.by_group(await self._database.ask(loading.GROUPS))

    async def add_group(self, name: str) -> None:
        await self._edit(partial(edits.add_group, name=group_name(name)))

    async def delete_group(self, name: str) -> None:
        await self._edit(partial(edits.delete_group, name=folded(name)))

    async def set_member(self, group: str, user: str, member: bool) -> None:
        await self._edit(
            partial(
                edits.set_member,
                group=folded(group),
                name=user_name(user) if self._strangers else folded(user),
                member=member,
                strangers=self._strangers,
            )
        )

    async def grant(
        self,
        project: NormalizedName,
        generation: str,
        principal: str,
        permissions: frozenset[Permission],
    ) -> None:
        who = principal_of(principal)
        strangers = self._strangers
        await self._edit(
            lambda connection: edits.grant(
                connection, project, generation, who, permissions, strangers=strangers
            )
        )

    async def bind(self, project: NormalizedName, generation: str) -> None:
        unbound = select(_grants.project).where(
            _grants.project == project, _grants.generation == UNBOUND
        )
        if await self._database.ask(unbound.limit(1)):
            await self._edit(partial(edits.bind, project=project, generation=generation))

    async def forget(self, project: NormalizedName, generation: str) -> None:
        await self._edit(partial(edits.forget, project=project, generation=generation))

    async def edition(self) -> str:
        """Another text after every edit, of whatever process."""
        rows = await self._database.ask(edits.EDITION)
        return str(rows[0].value) if rows else ""

    async def registration(self) -> bool:
        return bool(await self._database.ask(edits.REGISTRATION))

    async def set_registration(self, open: bool) -> None:
        await self._edit(partial(edits.set_registration, open=open))

    async def load(self, people: People) -> None:
        await self._edit(partial(loading.load, people=normalized(people, is_hash)))

    async def _edit(self, work: Callable[[Connection], T]) -> T:
        def queued(connection: Connection) -> T:
            edits.queue(connection)
            return work(connection)

        return await self._database.change(queued)

    async def _somebody(self, name: str) -> Sequence[AnyRow]:
        if not is_name(name):
            return ()
        return await self._database.ask(_SOMEBODY, {"name": name.lower()})

    async def _renew(self, account: AnyRow, password: str) -> None:
        """Keep the password under today's parameters, unless it was changed meanwhile."""
        if account.name in self._renewing:
            return
        self._renewing.add(account.name)
        try:
            hashed = await self._passwords.rehash(password)
            same = (_users.name == account.name) & (_users.password == account.password)
            renewed = update(tables.users).where(same).values(password=hashed)
            await self._edit(lambda connection: connection.execute(renewed))
        except errors.Unavailable as error:
            log.warning("The password of user %r is hashed anew later: %s", account.name, error)
        finally:
            self._renewing.discard(account.name)


def _shut(row: AnyRow) -> bool:
    return bool(row.disabled or row.pending)


def _group_names(rows: Sequence[AnyRow]) -> list[str]:
    return sorted(row.group_name for row in rows if row.group_name is not None)


def _user(rows: Sequence[AnyRow]) -> User:
    row = rows[0]
    return User(
        name=row.name,
        admin=row.admin,
        disabled=edits.is_disabled(row),
        pending=bool(row.pending),
        groups=tuple(_group_names(rows)),
    )


def _identity(rows: Sequence[AnyRow]) -> Identity:
    row = rows[0]
    groups = (f"group:{group}" for group in _group_names(rows))
    return Identity(
        actor=Actor(kind="user", id=row.name),
        principals=frozenset({AUTHENTICATED, f"user:{row.name}", *groups}),
        admin=row.admin,
        stamp=row.generation,
        version=str(row.pw_version),
    )
