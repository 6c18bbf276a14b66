"""An editable access over anything that can keep a book as a whole."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from packaging.utils import NormalizedName

from app import errors
from app.access import book as books
from app.access.base import Grants, People, User
from app.access.book import Book, Person
from app.access.hashes import is_hash
from app.access.passwords import Passwords
from app.access.people import normalized
from app.access.principals import AUTHENTICATED, folded, group_name, is_name, user_name
from app.access.principals import principal as principal_of
from app.models import Actor, Identity, Permission

log = logging.getLogger(__name__)

Edit = Callable[[Book], Book]


class Keeper(Protocol):
    """Keeps a book. Both methods raise errors.AccessUnavailable."""

    async def book(self) -> Book:
        """The book as it is now."""
        ...

    async def change(self, edit: Edit) -> None:
        """Replace the book by what ``edit`` makes of it, all or nothing.

        ``edit`` is asked again where somebody else was faster; what it raises is raised. Where
        it gives the same book nothing is written.
        """
        ...


class KeptAccess:
    """An EditableAccess over a keeper.

    ``strangers``: groups and grants may name whom another backend knows. ``renew_every`` is in
    seconds: no oftener is something written merely to hash a password anew.
    """

    origin = "the users' own backend"

    hashes = True
    """A refusal costs a hash."""

    def __init__(
        self,
        keeper: Keeper,
        passwords: Passwords,
        *,
        strangers: bool = False,
        renew_every: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keeper, self._passwords, self._strangers = keeper, passwords, strangers
        self._renew_every, self._clock = renew_every, clock
        self.pools = {"hashes": passwords.pool}
        self._renewing: set[str] = set()
        self._next_renewal = 0.0

    async def identify(self, username: str, password: str) -> Identity | None:
        book = await self._keeper.book()
        person = _somebody(book, username)
        if person is None:
            await self._passwords.verify(None, password, stamp=username[:64])
            return None
        if not await self._passwords.verify(person.password, password, stamp=person.stamp):
            return None
        if person.password is not None and self._passwords.outdated(person.password):
            await self._renew(person.name, person.password, password)
        return _identity(book, person)

    async def spend(self) -> None:
        """Cost what a wrong password costs."""
        await self._passwords.verify(None, secrets.token_hex(16), stamp=secrets.token_hex(8))

    async def known(self, username: str) -> Identity | None:
        book = await self._keeper.book()
        person = _somebody(book, username)
        return None if person is None else _identity(book, person)

    async def memberships(self, username: str) -> frozenset[str]:
        """The groups that somebody is in whom another backend knows."""
        if not is_name(username):
            return frozenset()
        book, name = await self._keeper.book(), folded(username)
        # Groups of a user of ours are not those of another backend's of the same name.
        return frozenset() if name in book.users else frozenset(book.groups_of(name))

    async def grants(self, project: NormalizedName, generation: str | None) -> Grants:
        return (await self._keeper.book()).granted(project, generation)

    async def all_grants(self) -> Mapping[tuple[NormalizedName, str], Grants]:
        return dict((await self._keeper.book()).grants)

    async def people(self) -> People:
        return (await self._keeper.book()).people()

    async def users(self) -> Sequence[User]:
        return (await self._keeper.book()).everybody()

    async def user(self, name: str) -> User | None:
        return (await self._keeper.book()).user(name.lower()) if is_name(name) else None

    async def add_user(
        self, name: str, password: str, *, admin: bool = False, pending: bool = False
    ) -> None:
        name = user_name(name)
        hashed = await self._passwords.hash(password, name)
        person = Person(name=name, password=hashed, admin=admin, pending=pending)
        await self._keeper.change(partial(books.add_user, person=person))

    async def set_password(self, name: str, password: str) -> None:
        if await self.user(name) is None:
            raise errors.UserNotFound(name)
        hashed = await self._passwords.hash(password, name)
        await self._set(name, anew=True, password=hashed)

    async def set_admin(self, name: str, admin: bool) -> None:
        await self._set(name, admin=admin)

    async def set_disabled(self, name: str, disabled: bool) -> None:
        await self._set(name, anew=disabled, disabled=disabled)

    async def approve(self, name: str) -> None:
        await self._set(name, pending=False)

    async def delete_user(self, name: str) -> None:
        await self._keeper.change(partial(books.delete_user, name=folded(name)))

    async def groups(self) -> Mapping[str, frozenset[str]]:
        return dict((await self._keeper.book()).groups)

    async def add_group(self, name: str) -> None:
        await self._keeper.change(partial(books.add_group, name=group_name(name)))

    async def delete_group(self, name: str) -> None:
        await self._keeper.change(partial(books.delete_group, name=folded(name)))

    async def set_member(self, group: str, user: str, member: bool) -> None:
        name = user_name(user) if self._strangers else folded(user)
        strangers = self._strangers
        await self._keeper.change(
            lambda book: books.set_member(book, folded(group), name, member, strangers=strangers)
        )

    async def grant(
        self,
        project: NormalizedName,
        generation: str,
        principal: str,
        permissions: frozenset[Permission],
    ) -> None:
        who, where = principal_of(principal), (project, generation)
        strangers = self._strangers
        await self._keeper.change(
            lambda book: books.grant(book, where, who, permissions, strangers=strangers)
        )

    async def bind(self, project: NormalizedName, generation: str) -> None:
        await self._keeper.change(partial(books.bind, project=project, generation=generation))

    async def forget(self, project: NormalizedName, generation: str) -> None:
        await self._keeper.change(partial(books.forget, project=project, generation=generation))

    async def registration(self) -> bool:
        return (await self._keeper.book()).registration

    async def set_registration(self, open: bool) -> None:
        await self._keeper.change(partial(books.set_registration, open=open))

    async def load(self, people: People) -> None:
        await self._keeper.change(partial(books.load, people=normalized(people, is_hash)))

    async def _set(self, name: str, *, anew: bool = False, **values: object) -> None:
        await self._keeper.change(
            lambda book: books.set_user(book, folded(name), anew=anew, **values)
        )

    async def _renew(self, name: str, before: str, password: str) -> None:
        """Keep the password under today's parameters, unless it was changed meanwhile."""
        if name in self._renewing or self._clock() < self._next_renewal:
            return
        self._renewing.add(name)
        self._next_renewal = self._clock() + self._renew_every
        try:
            after = await self._passwords.rehash(password)
            await self._keeper.change(partial(books.renew, name=name, before=before, after=after))
        except (errors.Unavailable, errors.TooLarge) as error:
            log.warning("The password of user %r is hashed anew later: %s", name, error)
        finally:
            self._renewing.discard(name)


def _somebody(book: Book, username: str) -> Person | None:
    person = book.users.get(username.lower()) if is_name(username) else None
    return None if person is None or person.shut else person


def _identity(book: Book, person: Person) -> Identity:
    groups = (f"group:{group}" for group in book.groups_of(person.name))
    return Identity(
        actor=Actor(kind="user", id=person.name),
        principals=frozenset({AUTHENTICATED, f"user:{person.name}", *groups}),
        admin=person.admin,
        stamp=person.generation,
        version=str(person.version),
    )
