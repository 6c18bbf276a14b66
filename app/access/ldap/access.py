"""Users and groups of a directory: found by the service, proved by a bind of their own."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import ldap
from packaging.utils import NormalizedName

from app import errors
from app.access.base import Grants, People
from app.access.ldap.directory import Ambiguous, Directory, Found
from app.access.ldap.line import Place, Unreached, converse
from app.access.options import LdapOptions
from app.access.passwords import normal
from app.access.principals import AUTHENTICATED, is_name
from app.access.verified import Verified
from app.models import Actor, Identity

log = logging.getLogger(__name__)

T = TypeVar("T")

REMEMBERED = 10_000
"""Users."""
_REFUSALS = (
    ldap.INVALID_CREDENTIALS,
    ldap.INAPPROPRIATE_AUTH,
    ldap.INVALID_DN_SYNTAX,
    ldap.NO_SUCH_OBJECT,
    ldap.UNWILLING_TO_PERFORM,
    ldap.CONSTRAINT_VIOLATION,
    ldap.INSUFFICIENT_ACCESS,
)
"""How a directory says that somebody does not get in: no such password, disabled, locked."""


class LdapAccess:
    """An Access that grants nothing: rights are by groups, or another backend's.

    Each question is a connection of its own. Entries and right passwords are remembered for
    ``options.cache``; that there is no such user is not.
    """

    origin = "an LDAP directory"

    def __init__(
        self,
        place: Place,
        options: LdapOptions,
        threads: ThreadPoolExecutor,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place, self._options, self._threads = place, options, threads
        self._service = (options.service_username or "").lower()
        self._directory = Directory(options)
        self._free = asyncio.Semaphore(options.connections)
        self._timeout = options.timeout.total_seconds()
        self._ttl = options.cache.total_seconds()
        self._clock = clock
        self._known: dict[str, tuple[float, Found]] = {}
        self._verified = Verified(ttl=self._ttl, clock=clock)

    async def identify(self, username: str, password: str) -> Identity | None:
        # An empty password would be an anonymous bind, which succeeds for anybody.
        encoded = normal(password)
        if not is_name(username) or encoded is None:
            return None
        name = username.lower()
        if name == self._service:
            right = await self._proved(self._options.bind_dn, password)
            return _identity(name, frozenset(), admin=True) if right else None
        remembered = self._remembered(name)
        if remembered and self._verified.key(name, remembered.dn, encoded) in self._verified:
            return _of(remembered)
        found = await self._found(name)
        right = await self._proved(found.dn if found else self._nobody(), password)
        if found is None or not right:
            return None
        self._verified.add(self._verified.key(name, found.dn, encoded))
        return _of(found)

    async def spend(self) -> None:
        """Cost what a wrong password costs."""
        await self._proved(self._nobody(), secrets.token_hex(16))

    async def known(self, username: str) -> Identity | None:
        if not is_name(username):
            return None
        name = username.lower()
        if name == self._service:
            return _identity(name, frozenset(), admin=True)
        found = await self._found(name)
        return None if found is None else _of(found)

    async def grants(self, project: NormalizedName, generation: str | None) -> Grants:
        return {}

    async def all_grants(self) -> Mapping[tuple[NormalizedName, str], Grants]:
        return {}

    async def people(self) -> People:
        raise errors.NotEditable(self.origin)

    async def check(self) -> None:
        """Ask once; errors.Misconfigured where no question can ever be answered."""
        try:
            await self._ask(self._directory.try_out)
        except ldap.INVALID_CREDENTIALS:
            raise errors.Misconfigured(
                "The directory refuses PYPICLOUD_LDAP__BIND_DN with this password"
            ) from None
        except (ldap.INSUFFICIENT_ACCESS, ldap.STRONG_AUTH_REQUIRED):
            raise errors.Misconfigured(
                "The directory does not let PYPICLOUD_LDAP__BIND_DN search"
            ) from None
        except ldap.FILTER_ERROR:
            raise errors.Misconfigured(
                "PYPICLOUD_LDAP__USER_FILTER or __GROUP_FILTER is no LDAP filter"
            ) from None
        except ldap.LDAPError as error:
            raise _unavailable(error) from None

    async def _found(self, name: str) -> Found | None:
        """The entry of this name, as it was within the time for which it is remembered."""
        remembered = self._remembered(name)
        if remembered is not None:
            return remembered
        try:
            found = await self._ask(lambda connection: self._find(connection, name))
        except ldap.LDAPError as error:
            raise _unavailable(error) from None
        if found is not None:
            self._remember(name, found)
        return found

    def _find(self, connection: Any, name: str) -> Found | None:
        self._directory.serve(connection)
        try:
            return self._directory.find(connection, name)
        except Ambiguous:
            log.warning("the directory has more than one entry for the user %r", name)
            return None

    async def _proved(self, dn: str, password: str) -> bool:
        """Whether the directory lets this DN in with the password, on a fresh connection."""

        def bind(connection: Any) -> bool:
            connection.simple_bind_s(dn, password)
            return True

        try:
            return await self._ask(bind)
        except _REFUSALS:
            return False
        except ldap.LDAPError as error:
            raise _unavailable(error) from None

    async def _ask(self, work: Callable[[Any], T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                await self._free.acquire()
        except TimeoutError:
            raise errors.Busy("The directory is asked too much; try again in a moment.") from None
        try:
            return await converse(self._place, self._threads, work, timeout=self._timeout)
        except Unreached as why:
            raise errors.AccessUnavailable(f"The directory {why}.") from None
        finally:
            self._free.release()

    def _nobody(self) -> str:
        """The DN of nobody, to be bound for whoever is not there: it costs what others cost."""
        if self._options.user_dn:
            return self._directory.dn_of(f"nobody-{secrets.token_hex(8)}")
        return f"cn=nobody-{secrets.token_hex(8)},{self._options.base_dn}"

    def _remembered(self, name: str) -> Found | None:
        until, found = self._known.get(name, (0.0, None))
        return found if self._clock() < until else None

    def _remember(self, name: str, found: Found) -> None:
        self._known.pop(name, None)
        if len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[name] = (self._clock() + self._ttl, found)


def _of(found: Found) -> Identity:
    return _identity(found.name, found.groups, admin=found.admin)


def _identity(name: str, groups: frozenset[str], *, admin: bool) -> Identity:
    return Identity(
        actor=Actor(kind="user", id=name),
        principals=frozenset({AUTHENTICATED, f"user:{name}", *(f"group:{one}" for one in groups)}),
        admin=admin,
    )


def _unavailable(error: ldap.LDAPError) -> errors.AccessUnavailable:
    """By the name of the result alone: what a server says further may tell of its users."""
    return errors.AccessUnavailable(f"The directory cannot be asked ({type(error).__name__}).")
