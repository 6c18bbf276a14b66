"""Users, groups and grants from a file that an operator writes; read anew when it changes."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName

from app import errors
from app.access import written
from app.access.base import UNBOUND, Account, Grants, People, User
from app.access.passwords import Passwords
from app.access.principals import AUTHENTICATED, folded
from app.models import Actor, Identity

log = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between looks at the file."""

_Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """The file as it was once."""

    stamp: _Stamp
    people: People
    accounts: Mapping[str, Account]
    notes: Sequence[str]


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[ConfigAccess]:
    """Read the file of this URL, ``config:FILE``.

    Options: those of Passwords. Raises errors.Misconfigured, with file and line, for one that
    cannot be read.
    """
    path = Path(url.partition(":")[2].removeprefix("//"))
    passwords = Passwords.of(options)
    try:
        access = ConfigAccess(path, passwords)
        await access.read()
        yield access
    finally:
        await passwords.close()


class ConfigAccess:
    """An Access over a file. A change that breaks it is logged, and what was before holds."""

    hashes = True
    """A refusal costs a hash."""

    def __init__(
        self, path: Path, passwords: Passwords, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.origin = f"the file {path.name!r}"
        self._path, self._passwords, self._clock = path, passwords, clock
        self.pools = {"hashes": passwords.pool}
        self._reading = _Reading((), People(), {}, ())
        self._broken: _Stamp = ()
        self._looked = 0.0

    async def identify(self, username: str, password: str) -> Identity | None:
        reading = await self._now()
        account = reading.accounts.get(folded(username))
        if account is None or account.disabled:
            await self._passwords.verify(None, password, stamp=username[:64])
            return None
        if not await self._passwords.verify(account.password, password, stamp=account.name):
            return None
        return _identity(reading, account)

    async def spend(self) -> None:
        """Cost what a wrong password costs."""
        await self._passwords.verify(None, secrets.token_hex(16), stamp=secrets.token_hex(8))

    async def known(self, username: str) -> Identity | None:
        reading = await self._now()
        account = reading.accounts.get(folded(username))
        return None if account is None or account.disabled else _identity(reading, account)

    async def memberships(self, username: str) -> frozenset[str]:
        """The groups that list somebody whom another backend knows."""
        return _groups(await self._now(), folded(username))

    async def grants(self, project: NormalizedName, generation: str | None) -> Grants:
        return (await self._now()).people.grants.get((project, UNBOUND), {})

    async def all_grants(self) -> Mapping[tuple[NormalizedName, str], Grants]:
        return (await self._now()).people.grants

    async def people(self) -> People:
        return (await self._now()).people

    async def users(self) -> Sequence[User]:
        """All users of the file, by name."""
        reading = await self._now()
        return [_user(reading, reading.accounts[name]) for name in sorted(reading.accounts)]

    async def user(self, name: str) -> User | None:
        """One user of the file."""
        reading = await self._now()
        account = reading.accounts.get(folded(name))
        return None if account is None else _user(reading, account)

    async def groups(self) -> Mapping[str, frozenset[str]]:
        """The members of every group of the file, by name."""
        groups = (await self._now()).people.groups
        return {name: groups[name] for name in sorted(groups)}

    async def read(self) -> None:
        """Take what the file says now; errors.Misconfigured for what cannot be."""
        try:
            reading = await asyncio.to_thread(_read, self._path)
        except (OSError, UnicodeDecodeError) as unreadable:
            raise errors.Misconfigured(
                f"The file of users {str(self._path)!r} cannot be read "
                f"({type(unreadable).__name__})."
            ) from unreadable
        except errors.Misconfigured as wrong:
            raise errors.Misconfigured(f"{self._path}, {wrong}") from wrong
        self._looked = self._clock()
        self._reading = reading
        for account in reading.accounts.values():
            if account.password is not None:
                self._passwords.expect(account.password)
        for note in reading.notes:
            log.warning("%s: %s", self._path, note)

    async def _now(self) -> _Reading:
        """What holds; the file is looked at once a second at most."""
        if self._clock() - self._looked < INTERVAL:
            return self._reading
        self._looked = self._clock()
        try:
            stamp = await asyncio.to_thread(_stamp, self._path)
        except OSError:
            stamp = (-1,)
        if stamp not in (self._reading.stamp, self._broken):
            try:
                await self.read()
            except errors.Misconfigured as wrong:
                self._broken = stamp
                log.error("Users and grants stay as they were: %s", wrong)  # no traceback
        return self._reading


def _read(path: Path) -> _Reading:
    stamp = _stamp(path)
    text = path.read_text(encoding="utf-8")
    people, notes = written.parse(text, toml=written.is_toml(text, path.suffix.lower()))
    return _Reading(stamp, people, {one.name: one for one in people.accounts}, notes)


def _stamp(path: Path) -> _Stamp:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns


def _groups(reading: _Reading, name: str) -> frozenset[str]:
    return frozenset(group for group, members in reading.people.groups.items() if name in members)


def _user(reading: _Reading, account: Account) -> User:
    return User(
        name=account.name,
        admin=account.admin,
        disabled=account.disabled,
        groups=tuple(sorted(_groups(reading, account.name))),
    )


def _identity(reading: _Reading, account: Account) -> Identity:
    groups = (f"group:{group}" for group in _groups(reading, account.name))
    return Identity(
        actor=Actor(kind="user", id=account.name),
        principals=frozenset({AUTHENTICATED, f"user:{account.name}", *groups}),
        admin=account.admin,
        version=hashlib.sha256((account.password or "").encode()).hexdigest()[:16],
    )
