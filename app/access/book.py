"""All users, groups and grants as one value, and every edit of it. Pure.

For backends that keep them as a whole: an edit takes a book and gives the next one, or the
same where nothing changes. Names come in their one spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from packaging.utils import NormalizedName
from ulid import ULID

from app import errors
from app.access.base import UNBOUND, Account, Grants, People, User
from app.models import Permission


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user. ``generation`` tells them from an earlier one of the name, ``version`` counts on
    whenever what was proved before must end; ``password`` is a hash, None for nobody's.
    """

    name: str
    password: str | None
    generation: str = ""
    version: int = 1
    admin: bool = False
    disabled: bool = False
    pending: bool = False

    @property
    def shut(self) -> bool:
        """Whether they are nobody as of now."""
        return self.disabled or self.pending

    @property
    def stamp(self) -> str:
        """What of them must hold for a proof to hold."""
        return f"{self.name} {self.generation} {self.version}"


Where = tuple[NormalizedName, str]
"""A project and its generation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Everything. No grants are empty."""

    users: Mapping[str, Person] = field(default_factory=dict)
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    grants: Mapping[Where, Grants] = field(default_factory=dict)
    registration: bool = False

    def groups_of(self, name: str) -> tuple[str, ...]:
        """The groups that somebody of this name is in, by name."""
        return tuple(sorted(group for group, members in self.groups.items() if name in members))

    def granted(self, project: NormalizedName, generation: str | None) -> Grants:
        """What holds on this generation; what is not bound yet holds too."""
        loose = self.grants.get((project, UNBOUND), {})
        bound = self.grants.get((project, generation), {}) if generation is not None else {}
        return {**loose, **bound}

    def user(self, name: str) -> User | None:
        """One user as lists show it."""
        person = self.users.get(name)
        return None if person is None else _shown(person, self.groups_of(name))

    def everybody(self) -> list[User]:
        """All users, by name."""
        groups: dict[str, list[str]] = {}
        for group in sorted(self.groups):
            for member in self.groups[group]:
                groups.setdefault(member, []).append(group)
        return [
            _shown(self.users[name], tuple(groups.get(name, ()))) for name in sorted(self.users)
        ]

    def people(self) -> People:
        """All of it, as exports have it."""
        return People(
            accounts=tuple(
                Account(
                    name=one.name,
                    password=one.password,
                    admin=one.admin,
                    disabled=one.disabled,
                    pending=one.pending,
                )
                for _, one in sorted(self.users.items())
            ),
            groups=dict(self.groups),
            grants=dict(self.grants),
            registration=self.registration,
        )


def add_user(book: Book, person: Person) -> Book:
    """Raises errors.UserExists."""
    if person.name in book.users:
        raise errors.UserExists(person.name)
    return _with_user(book, replace(person, generation=str(ULID())))


def set_user(book: Book, name: str, *, anew: bool = False, **values: Any) -> Book:
    """Set what a user has; ``anew`` ends what was proved before. Raises errors.UserNotFound."""
    person = _person(book, name)
    changed = replace(person, **values, version=person.version + anew)
    return book if changed == person else _with_user(book, changed)


def renew(book: Book, name: str, before: str, after: str) -> Book:
    """Another hash of the same password, unless it was changed meanwhile."""
    person = book.users.get(name)
    if person is None or person.password != before:
        return book
    return _with_user(book, replace(person, password=after))


def delete_user(book: Book, name: str) -> Book:
    """Raises errors.UserNotFound. A later user of this name is somebody else."""
    _person(book, name)
    groups = {
        group: members - {name} if name in members else members
        for group, members in book.groups.items()
    }
    users = {key: person for key, person in book.users.items() if key != name}
    return replace(book, users=users, groups=groups, grants=_without(book, f"user:{name}"))


def add_group(book: Book, name: str) -> Book:
    """Raises errors.GroupExists."""
    if name in book.groups:
        raise errors.GroupExists(name)
    return replace(book, groups={**book.groups, name: frozenset()})


def delete_group(book: Book, name: str) -> Book:
    """Raises errors.GroupNotFound."""
    _members(book, name)
    groups = {group: members for group, members in book.groups.items() if group != name}
    return replace(book, groups=groups, grants=_without(book, f"group:{name}"))


def set_member(book: Book, group: str, user: str, member: bool, *, strangers: bool) -> Book:
    """Raises errors.GroupNotFound, and errors.UserNotFound unless ``strangers`` may be members."""
    members = _members(book, group)
    if not strangers:
        _person(book, user)
    if (user in members) == member:
        return book
    changed = members | {user} if member else members - {user}
    return replace(book, groups={**book.groups, group: changed})


def grant(
    book: Book, where: Where, principal: str, permissions: frozenset[Permission], *, strangers: bool
) -> Book:
    """Set what a principal has; errors.UserNotFound and errors.GroupNotFound for strangers."""
    kind, _, name = principal.partition(":")
    if permissions and not strangers and kind == "user":
        _person(book, name)
    if permissions and not strangers and kind == "group":
        _members(book, name)
    held = book.grants.get(where, {})
    if held.get(principal, frozenset()) == permissions:
        return book
    left = {who: own for who, own in held.items() if who != principal}
    return _granting(book, where, {**left, principal: permissions} if permissions else left)


def bind(book: Book, project: NormalizedName, generation: str) -> Book:
    """Whom something was granted by generation keeps that; the others get what is unbound."""
    loose = book.grants.get((project, UNBOUND))
    if loose is None or generation == UNBOUND:
        return book
    bound = book.grants.get((project, generation), {})
    return _granting(forget(book, project, UNBOUND), (project, generation), {**loose, **bound})


def forget(book: Book, project: NormalizedName, generation: str) -> Book:
    """Drop the grants of one generation."""
    return _granting(book, (project, generation), {})


def load(book: Book, people: People) -> Book:
    """Add what is missing and set what differs; the people are in their one spelling."""
    for account in people.accounts:
        marks: Mapping[str, Any] = {
            "admin": account.admin,
            "disabled": account.disabled,
            "pending": account.pending,
        }
        before = book.users.get(account.name)
        if before is None:
            made = Person(name=account.name, password=account.password, **marks)
            book = add_user(book, made)
        else:
            book = set_user(book, account.name, anew=account.disabled > before.disabled, **marks)
    groups = {
        group: book.groups.get(group, frozenset()) | people.groups.get(group, frozenset())
        for group in {**book.groups, **people.groups}
    }
    if groups != book.groups:
        book = replace(book, groups=groups)
    for where, granted in people.grants.items():
        for principal, permissions in granted.items():
            book = grant(book, where, principal, permissions, strangers=True)
    return set_registration(book, people.registration)


def set_registration(book: Book, open: bool) -> Book:
    """Open or close it."""
    return book if book.registration == open else replace(book, registration=open)


def _shown(person: Person, groups: tuple[str, ...]) -> User:
    return User(
        name=person.name,
        admin=person.admin,
        disabled=person.disabled,
        pending=person.pending,
        groups=groups,
    )


def _person(book: Book, name: str) -> Person:
    if name not in book.users:
        raise errors.UserNotFound(name)
    return book.users[name]


def _members(book: Book, group: str) -> frozenset[str]:
    if group not in book.groups:
        raise errors.GroupNotFound(group)
    return book.groups[group]


def _with_user(book: Book, person: Person) -> Book:
    return replace(book, users={**book.users, person.name: person})


def _granting(book: Book, where: Where, granted: Grants) -> Book:
    if where not in book.grants and not granted:
        return book
    left = {key: own for key, own in book.grants.items() if key != where}
    return replace(book, grants={**left, where: granted} if granted else left)


def _without(book: Book, principal: str) -> Mapping[Where, Grants]:
    left = {}
    for where, granted in book.grants.items():
        kept = (
            granted
            if principal not in granted
            else {who: own for who, own in granted.items() if who != principal}
        )
        if kept:
            left[where] = kept
    return left
