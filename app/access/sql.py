"""Users and grants in a SQL database, changed by this process and by others."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from packaging.utils import NormalizedName
from sqlalchemy import Row, Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Update
from ulid import ULID

from app import errors
from app.access import engines, tables
from app.access.base import Grants, User
from app.access.engines import answering
from app.access.passwords import MEMORY, MIN_LENGTH, PASSES, Passwords
from app.access.pool import QUEUE
from app.access.principals import AUTHENTICATED, is_name, user_name
from app.access.principals import principal as principal_of
from app.models import Actor, Identity, Permission
from app.sqlite import Engines

log = logging.getLogger(__name__)
_Row = Row[*tuple[Any, ...]]
_users = tables.users.c
_grants = tables.grants.c


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[SqlAccess]:
    """Open the users of this URL, creating file and tables where there are none.

    Options: ``password_min_length`` (bytes), ``password_memory`` (KiB) and
    ``password_passes`` of argon2id, ``hash_threads`` and ``hash_queue``. Raises
    errors.Misconfigured for a URL, an option or a file that cannot work.
    """
    passwords = Passwords(
        min_length=options.get("password_min_length", MIN_LENGTH),
        memory=options.get("password_memory", MEMORY),
        passes=options.get("password_passes", PASSES),
        threads=options.get("hash_threads"),
        queue=options.get("hash_queue", QUEUE),
    )
    try:
        async with engines.opened(url) as both:
            yield SqlAccess(both, passwords)
    finally:
        await passwords.close()


class SqlAccess:
    """An EditableAccess over SQL. Every question reads the database, argon2 alone is remembered."""

    def __init__(self, both: Engines, passwords: Passwords) -> None:
        self._engines, self._passwords = both, passwords
        self._renewing: set[str] = set()

    async def identify(self, username: str, password: str) -> Identity | None:
        account = await self._account(username)
        if account is None or account.disabled:
            await self._passwords.verify(None, password, stamp=username[:64])
            return None
        stamp = f"{account.name} {account.generation} {account.pw_version}"
        if not await self._passwords.verify(account.password, password, stamp=stamp):
            return None
        if self._passwords.outdated(account.password):
            await self._renew(account, password)
        return Identity(
            actor=Actor(kind="user", id=account.name),
            principals=frozenset({AUTHENTICATED, f"user:{account.name}"}),
            admin=account.admin,
        )

    async def grants(self, project: NormalizedName, generation: str | None) -> Grants:
        if generation is None:
            return {}
        rows = await self._read(
            select(_grants.principal, _grants.permission).where(
                _grants.project == project, _grants.generation == generation
            )
        )
        return _by_principal(rows)

    async def all_grants(self) -> Mapping[tuple[NormalizedName, str], Grants]:
        rows: dict[tuple[NormalizedName, str], list[_Row]] = {}
        for row in await self._read(select(tables.grants)):
            rows.setdefault((row.project, row.generation), []).append(row)
        return {key: _by_principal(own) for key, own in rows.items()}

    async def users(self) -> Sequence[User]:
        return [_user(row) for row in await self._read(select(tables.users).order_by(_users.name))]

    async def user(self, name: str) -> User | None:
        account = await self._account(name)
        return None if account is None else _user(account)

    async def add_user(self, name: str, password: str, *, admin: bool = False) -> None:
        name = user_name(name)
        hashed = await self._passwords.hash(password, name)
        row = insert(tables.users).values(
            name=name,
            generation=str(ULID()),
            password=hashed,
            pw_version=1,
            admin=admin,
            disabled=False,
        )
        async with self._write() as connection:
            try:
                await connection.execute(row)
            except IntegrityError:
                raise errors.UserExists(name) from None

    async def set_password(self, name: str, password: str) -> None:
        if await self.user(name) is None:
            raise errors.UserNotFound(name)
        hashed = await self._passwords.hash(password, name)
        await self._update(name, {"password": hashed, "pw_version": _users.pw_version + 1})

    async def set_admin(self, name: str, admin: bool) -> None:
        await self._update(name, {"admin": admin})

    async def set_disabled(self, name: str, disabled: bool) -> None:
        values: dict[str, Any] = {"disabled": disabled}
        if disabled:
            values["pw_version"] = _users.pw_version + 1
        await self._update(name, values)

    async def delete_user(self, name: str) -> None:
        folded = name.lower()
        async with self._write() as connection:
            gone = await connection.execute(delete(tables.users).where(_users.name == folded))
            if not gone.rowcount:
                raise errors.UserNotFound(name)
            # A later user of this name is somebody else.
            await connection.execute(
                delete(tables.grants).where(_grants.principal == f"user:{folded}")
            )

    async def grant(
        self,
        project: NormalizedName,
        generation: str,
        principal: str,
        permissions: frozenset[Permission],
    ) -> None:
        who = principal_of(principal)
        key = {"project": project, "generation": generation, "principal": who}
        async with self._write() as connection:
            await self._must_exist(connection, who)
            await connection.execute(delete(tables.grants).filter_by(**key))
            if permissions:
                rows = [{**key, "permission": permission.value} for permission in permissions]
                await connection.execute(insert(tables.grants), rows)

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        with answering():
            async with self._engines.write.begin() as connection:
                yield connection

    async def _read(self, question: Select[*tuple[Any, ...]]) -> Sequence[_Row]:
        with answering():
            async with self._engines.read.connect() as connection:
                rows: Sequence[_Row] = (await connection.execute(question)).all()
                return rows

    async def _account(self, name: str) -> _Row | None:
        if not is_name(name):
            return None
        rows = await self._read(select(tables.users).where(_users.name == name.lower()))
        return rows[0] if rows else None

    async def _update(self, name: str, values: Mapping[str, Any]) -> None:
        changed = update(tables.users).where(_users.name == name.lower()).values(values)
        if not await self._changes(changed):
            raise errors.UserNotFound(name)

    async def _changes(self, statement: Update) -> int:
        async with self._write() as connection:
            return (await connection.execute(statement)).rowcount

    async def _must_exist(self, connection: AsyncConnection, principal: str) -> None:
        kind, _, name = principal.partition(":")
        if kind != "user":
            return
        question = select(_users.name).where(_users.name == name).with_for_update(read=True)
        if (await connection.execute(question)).first() is None:
            raise errors.UserNotFound(name)

    async def _renew(self, account: _Row, password: str) -> None:
        """Keep the password under today's parameters, unless it was changed meanwhile."""
        if account.name in self._renewing:
            return
        self._renewing.add(account.name)
        try:
            hashed = await self._passwords.rehash(password)
            same = (_users.name == account.name) & (_users.password == account.password)
            await self._changes(update(tables.users).where(same).values(password=hashed))
        except errors.Unavailable as error:
            log.warning("The password of user %r is hashed anew later: %s", account.name, error)
        finally:
            self._renewing.discard(account.name)


def _user(row: _Row) -> User:
    return User(name=row.name, admin=row.admin, disabled=row.disabled)


def _by_principal(rows: Iterable[_Row]) -> Grants:
    found: dict[str, set[Permission]] = {}
    for row in rows:
        found.setdefault(row.principal, set()).add(Permission(row.permission))
    return {who: frozenset(permissions) for who, permissions in found.items()}
