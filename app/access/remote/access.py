"""Users and grants of another server.

Each question is a path below the URL, with parameters; the answer is JSON. Parameters go in the
body of a POST, for a password in a URL stands in logs; servers that take GET alone need the
setting. What comes back is believed only in the shape that it must have.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from packaging.utils import NormalizedName

from app import errors, names
from app.access.base import UNBOUND, Account, Grants, People
from app.access.passwords import normal
from app.access.principals import AUTHENTICATED, EVERYONE, is_name
from app.access.remote.asking import Server
from app.access.remote.shapes import give, list_in, names_in, permissions_in, shapeless, truth_in
from app.access.verified import Verified
from app.models import Actor, Identity, Permission

T = TypeVar("T")

AT_ONCE = 16
"""Questions under way for one list."""


class RemoteAccess:
    """An Access over HTTP."""

    origin = "the access server"

    def __init__(self, server: Server, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._server, self._options = server, server.options
        self._verified = Verified(ttl=server.options.cache.total_seconds(), clock=clock)
        self._listing = asyncio.Lock()

    async def identify(self, username: str, password: str) -> Identity | None:
        encoded = normal(password)
        if not is_name(username) or encoded is None:
            return None
        name = username.lower()
        key = self._verified.key(name, self._server.base, encoded)
        if key not in self._verified:
            asked = {"username": name, "password": password}
            if not truth_in(await self._server.ask(self._options.verify, asked), "verify"):
                return None
            self._verified.add(key)
        groups, admin = await _all(self._groups_of(name), self._is_admin(name))
        return _identity(name, groups, admin=admin)

    async def spend(self) -> None:
        """Cost what a wrong password costs."""
        nobody = {"username": f"nobody-{secrets.token_hex(8)}", "password": secrets.token_hex(16)}
        await self._server.ask(self._options.verify, nobody)

    async def known(self, username: str) -> Identity | None:
        if not is_name(username):
            return None
        name = username.lower()
        told = await self._server.told(self._options.user_data, "username", name, absent=True)
        if told is None or told == {}:
            return None
        if not isinstance(told, dict) or str(told.get("username", "")).lower() != name:
            raise shapeless("user_data")
        groups = frozenset(names_in(told.get("groups", []), "user_data"))
        return _identity(name, groups, admin=truth_in(told.get("admin", False), "user_data"))

    async def grants(self, project: NormalizedName, generation: str | None) -> Grants:
        users, groups = await _all(
            self._server.told(self._options.user_permissions, "package", project),
            self._server.told(self._options.group_permissions, "package", project),
        )
        found: dict[str, frozenset[Permission]] = {}
        for kind, told in (("user", users), ("group", groups)):
            if not isinstance(told, dict):
                raise shapeless(f"{kind}_permissions")
            for name, permissions in told.items():
                give(found, kind, name, permissions_in(permissions, f"{kind}_permissions"))
        return found

    async def all_grants(self) -> Mapping[tuple[NormalizedName, str], Grants]:
        """One question for each user and each group; remembered as long as any answer."""
        async with self._listing:
            held = self._server.remembered(("all_grants", ""))
            if held is None:
                held = await self._every_grant()
                self._server.remember(("all_grants", ""), held)
            found: Mapping[tuple[NormalizedName, str], Grants] = held
            return found

    async def people(self) -> People:
        users, groups = await _all(self._users(), self._groups())
        members = await self._for_each(groups, self._members)
        return People(
            accounts=tuple(
                Account(name=name, admin=admin) for name, admin in sorted(users.items())
            ),
            groups=dict(zip(groups, members, strict=True)),
            grants=await self.all_grants(),
        )

    async def _every_grant(self) -> Mapping[tuple[NormalizedName, str], Grants]:
        users, groups = await _all(self._users(), self._groups())
        principals = [
            *(("user", name) for name in users),
            *(("group", name) for name in {*groups, EVERYONE, AUTHENTICATED}),
        ]
        answers = await self._for_each(principals, lambda one: self._packages(*one))
        found: dict[tuple[NormalizedName, str], dict[str, frozenset[Permission]]] = {}
        for (kind, name), packages in zip(principals, answers, strict=True):
            for project, permissions in packages:
                give(found.setdefault((project, UNBOUND), {}), kind, name, permissions)
        return {where: granted for where, granted in found.items() if granted}

    async def _packages(
        self, kind: str, name: str
    ) -> list[tuple[NormalizedName, frozenset[Permission]]]:
        what = f"{kind}_package_permissions"
        by = "username" if kind == "user" else "group"
        told = await self._server.told(getattr(self._options, what), by, name)
        found = []
        for one in list_in(told, what):
            if not isinstance(one, dict) or not isinstance(one.get("package"), str):
                raise shapeless(what)
            permissions = permissions_in(one.get("permissions"), what)
            try:
                found.append((names.normalize(one["package"]), permissions))
            except errors.InvalidName:
                continue
        return found

    async def _users(self) -> dict[str, bool]:
        """Everybody, and whether they are admins."""
        found = {}
        for one in list_in(await self._server.told(self._options.user_data, "", ""), "user_data"):
            if not isinstance(one, dict) or not isinstance(one.get("username"), str):
                raise shapeless("user_data")
            if is_name(one["username"]):
                admin = truth_in(one.get("admin", False), "user_data")
                found[one["username"].lower()] = admin
        return found

    async def _groups(self) -> list[str]:
        told = await self._server.told(self._options.groups, "", "")
        return sorted(set(names_in(told, "groups")) - {EVERYONE, AUTHENTICATED})

    async def _groups_of(self, name: str) -> frozenset[str]:
        told = await self._server.told(self._options.groups, "username", name)
        return frozenset(names_in(told, "groups")) - {EVERYONE, AUTHENTICATED}

    async def _members(self, group: str) -> frozenset[str]:
        told = await self._server.told(self._options.group_members, "group", group)
        return frozenset(names_in(told, "group_members"))

    async def _is_admin(self, name: str) -> bool:
        return truth_in(await self._server.told(self._options.admin, "username", name), "admin")

    async def _for_each(
        self, every: Iterable[Any], question: Callable[[Any], Awaitable[T]]
    ) -> list[T]:
        """The answers, in their order, a few asked at once; the first that fails ends them."""
        free = asyncio.Semaphore(AT_ONCE)

        async def asked(one: Any) -> T:
            async with free:
                return await question(one)

        return await _all_of([asked(one) for one in every])


async def _all(one: Awaitable[Any], other: Awaitable[Any]) -> tuple[Any, Any]:
    first, second = await _all_of([one, other])
    return first, second


async def _all_of(every: Iterable[Awaitable[T]]) -> list[T]:
    tasks = [asyncio.ensure_future(one) for one in every]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _identity(name: str, groups: frozenset[str], *, admin: bool) -> Identity:
    return Identity(
        actor=Actor(kind="user", id=name),
        principals=frozenset({AUTHENTICATED, f"user:{name}", *(f"group:{one}" for one in groups)}),
        admin=admin,
    )
