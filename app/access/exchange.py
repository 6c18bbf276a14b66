"""People in PyPICloud's JSON: what ``ppc-export`` wrote, and what we write for either. Pure.

Its keys mean what they always meant; what it had no word for stands under ``extra``, which it
does not read: ``disabled`` and ``pending_admins`` (names) and ``permissions`` (by project and
principal). Grants are by the name of the project alone; ``everyone`` and ``authenticated``
stand among the groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from packaging.utils import NormalizedName

from app import errors, names
from app.access.base import UNBOUND, Account, Grants, People
from app.access.principals import AUTHENTICATED, EVERYONE
from app.models import Permission

_WORDS = {"read": Permission.READ, "write": Permission.UPLOAD}
_EVERYBODY = (EVERYONE, AUTHENTICATED)
_Names = dict[str, dict[str, list[str]]]


class _User(msgspec.Struct):
    username: str
    password: str | None = None
    admin: bool = False


class _Packages(msgspec.Struct):
    users: _Names = {}
    groups: _Names = {}


class _Extra(msgspec.Struct):
    disabled: list[str] = []
    pending_admins: list[str] = []
    permissions: dict[str, dict[str, list[Permission]]] = {}


class _Document(msgspec.Struct):
    version: str = ""
    allow_register: bool | None = None
    groups: dict[str, list[str]] = {}
    users: list[_User] = []
    pending_users: list[_User] = []
    packages: _Packages = msgspec.field(default_factory=_Packages)
    extra: _Extra = msgspec.field(default_factory=_Extra)


def dump(people: People, version: str) -> bytes:
    """The people as JSON. Of the grants on one project, those of all generations are one."""
    document = _Document(version=version, allow_register=people.registration)
    for account in people.accounts:
        kept = document.pending_users if account.pending else document.users
        kept.append(_User(account.name, account.password, account.admin))
    document.groups = {group: sorted(members) for group, members in people.groups.items()}
    document.extra.disabled = [one.name for one in people.accounts if one.disabled]
    document.extra.pending_admins = [
        one.name for one in people.accounts if one.pending and one.admin
    ]
    for (project, _), grants in people.grants.items():
        for who, permissions in grants.items():
            _write(document, project, who, permissions)
    raw = msgspec.to_builtins(document)
    for user in raw["pending_users"]:
        del user["admin"]
    return msgspec.json.format(msgspec.json.encode(raw), indent=2) + b"\n"


def parse(text: bytes, *, registration: bool) -> People:
    """The people of a document; ``registration`` where it does not say.

    Every grant is unbound. Raises errors.Invalid for what is no such document.
    """
    try:
        document = msgspec.json.decode(text, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as wrong:
        raise errors.Invalid(f"This is no export of PyPICloud: {wrong}") from None
    disabled, admins = set(document.extra.disabled), set(document.extra.pending_admins)
    accounts = [
        Account(
            name=user.username,
            password=user.password,
            admin=user.admin or (pending and user.username in admins),
            disabled=user.username in disabled,
            pending=pending,
        )
        for pending, users in ((False, document.users), (True, document.pending_users))
        for user in users
    ]
    allowed = document.allow_register
    return People(
        accounts=tuple(sorted(accounts, key=lambda account: account.name)),
        groups={group: frozenset(members) for group, members in document.groups.items()},
        grants=_read(document),
        registration=registration if allowed is None else allowed,
    )


def placed(people: People, generations: Mapping[NormalizedName, str | None]) -> People:
    """The people with their grants on the projects of these generations; None: not there.

    Whatever a grant was bound to, it is bound to the generation of its project's name, or is
    unbound. What is bound wins over what is not, by principal; other generations are left out.
    """
    found: dict[tuple[NormalizedName, str], dict[str, frozenset[Permission]]] = {}
    for (project, bound), grants in sorted(people.grants.items()):
        generation = generations.get(project)
        if bound in (UNBOUND, generation):
            found.setdefault((project, generation or UNBOUND), {}).update(grants)
    return People(
        accounts=people.accounts,
        groups=people.groups,
        grants=found,
        registration=people.registration,
    )


def _write(document: _Document, project: str, who: str, permissions: frozenset[Permission]) -> None:
    words = [word for word, permission in _WORDS.items() if permission in permissions]
    kind, _, name = who.partition(":")
    if words or not permissions:
        side = document.packages.users if kind == "user" else document.packages.groups
        own = side.setdefault(project, {})
        own[name or kind] = sorted({*own.get(name or kind, []), *words})
    if more := permissions - set(_WORDS.values()):
        document.extra.permissions.setdefault(project, {})[who] = sorted(more)


def _read(document: _Document) -> Mapping[tuple[NormalizedName, str], Grants]:
    found: dict[tuple[NormalizedName, str], dict[str, frozenset[Permission]]] = {}

    def add(project: str, who: str, permissions: Iterable[Permission]) -> None:
        own = found.setdefault((names.normalize(project), UNBOUND), {})
        own[who] = own.get(who, frozenset()) | frozenset(permissions)

    for kind, side in (("user", document.packages.users), ("group", document.packages.groups)):
        for project, grants in side.items():
            for name, words in grants.items():
                who = name if kind == "group" and name in _EVERYBODY else f"{kind}:{name}"
                add(project, who, _permissions(words, project))
    for project, more in document.extra.permissions.items():
        for who, permissions in more.items():
            add(project, who, permissions)
    return found


def _permissions(words: Iterable[Any], project: str) -> list[Permission]:
    if unknown := [word for word in words if word not in _WORDS]:
        raise errors.Invalid(f"On {project!r} there is a permission {unknown[0]!r}.")
    return [_WORDS[word] for word in words]
