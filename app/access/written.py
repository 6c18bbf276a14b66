"""People as an operator writes them into a file: TOML of ours, or the INI of PyPICloud 1. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from packaging.utils import NormalizedName

from app import errors, names
from app.access import ini
from app.access.base import UNBOUND, Account, People
from app.access.hashes import is_hash, is_legacy
from app.access.people import normalized
from app.access.principals import AUTHENTICATED, EVERYONE, is_name, principal
from app.models import Permission

_WORDS: Mapping[str, frozenset[Permission]] = {
    "r": frozenset({Permission.READ}),
    "w": frozenset({Permission.UPLOAD}),
    "rw": frozenset({Permission.READ, Permission.UPLOAD}),
    "wr": frozenset({Permission.READ, Permission.UPLOAD}),
    "write": frozenset({Permission.UPLOAD}),
    **{permission.value: frozenset({permission}) for permission in Permission},
}
_ADMINS = ("auth.admins", "admins")
_SETTINGS = {
    "pypi.default_read": "PYPICLOUD_DEFAULT_READ",
    "pypi.default_write": "PYPICLOUD_DEFAULT_WRITE",
}
_INI = re.compile(r"^\s*(?:\[app:|(?:user|group|package)\.\S+\s*=\s*[^\"'\s\[{])", re.MULTILINE)
_GRANT = re.compile(r"package\.(.+?)\.(user|group)\.(.+)\Z")
_TOML = frozenset({"admins", "users", "groups", "projects"})


@dataclass(slots=True)
class Draft:
    """What was read so far, each thing with the line it stands in."""

    passwords: dict[str, str | None] = field(default_factory=dict)
    admins: set[str] = field(default_factory=set)
    disabled: set[str] = field(default_factory=set)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    grants: dict[NormalizedName, dict[str, frozenset[Permission]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def grant(self, project: str, principal: str, permissions: frozenset[Permission]) -> None:
        """Beside what another spelling of the project's name grants."""
        own = self.grants.setdefault(names.normalize(project), {})
        own[principal] = own.get(principal, frozenset()) | permissions

    def people(self) -> People:
        """All of it."""
        accounts = (
            Account(
                name=name,
                password=password,
                admin=name.lower() in self.admins,
                disabled=name.lower() in self.disabled,
            )
            for name, password in self.passwords.items()
        )
        grants = {(project, UNBOUND): own for project, own in self.grants.items()}
        return normalized(
            People(accounts=tuple(accounts), groups=self.groups, grants=grants), is_hash
        )


def parse(text: str, *, toml: bool) -> tuple[People, list[str]]:
    """The people, and lines for the operator.

    Raises errors.Misconfigured, which begins with ``line N``.
    """
    draft = Draft()
    read = _toml if toml else _ini
    for line, one in read(text, draft):
        try:
            one()
        except (errors.Invalid, ValueError) as wrong:
            raise errors.Misconfigured(f"line {line}: {wrong}") from None
    if strangers := draft.admins - {name.lower() for name in draft.passwords}:
        name = min(strangers)
        raise errors.Misconfigured(
            f"line {_line_of(text, name)}: admin {name!r} is no user of this file"
        )
    people = draft.people()
    old = [one.name for one in people.accounts if one.password and is_legacy(one.password)]
    if old:
        cure = "'pypicloud hash-password' makes better ones"
        draft.notes.append(f"hashes of former times ({cure}): {', '.join(old)}")
    return people, draft.notes


def is_toml(text: str, suffix: str) -> bool:
    """By the suffix of the file; else by whether a section of PyPICloud's is in it."""
    if suffix in (".toml", ".ini", ".cfg", ".conf"):
        return suffix == ".toml"
    return not re.search(
        r"^\s*(?:\[app:|(?:user|group|package)\.\S+\s*=\s*[^\"'\s\[{])", text, re.M
    )


def permissions(value: object) -> frozenset[Permission]:
    """``rw``, ``read write``, or a list of words; ValueError for another word."""
    words = value.split() if isinstance(value, str) else _words(value, "permissions")
    if unknown := [word for word in words if word.lower() not in _WORDS]:
        raise ValueError(
            f"{unknown[0]!r} is no permission; known: r, rw, w, {', '.join(Permission)}"
        )
    return frozenset().union(*(_WORDS[word.lower()] for word in words))


Step = Callable[[], object]


def _ini(text: str, draft: Draft) -> Iterator[tuple[int, Step]]:
    for line, key, value in ini.lines(text):
        kind, _, name = key.partition(".")
        if key in _ADMINS:
            yield line, partial(_add_admins, draft, value.split())
        elif key == "auth.disabled":
            draft.disabled.update(value.lower().split())
        elif kind == "user" and name:
            yield line, partial(_add_user, draft, name, value or None)
        elif kind == "group" and name:
            yield line, partial(_add_group, draft, name, value.split())
        elif match := _GRANT.match(key):
            yield line, partial(_grant, draft, match[1], _principal(match[2], match[3]), value)
        elif kind == "package":
            yield line, partial(_refuse, f"{key!r} grants nothing to anybody")
        elif key in _SETTINGS:
            draft.notes.append(f"{key} is a setting of its own here: {_SETTINGS[key]}")


def _toml(text: str, draft: Draft) -> Iterator[tuple[int, Step]]:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        found = re.search(r"line (\d+)", str(wrong))
        line = int(found[1]) if found else max(1, text.count("\n"))
        raise errors.Misconfigured(f"line {line}: {wrong}") from None
    for key in tree.keys() - _TOML:
        yield _line_of(text, key), partial(_refuse, f"{key!r} is none of {sorted(_TOML)}")
    yield _line_of(text, "admins"), partial(_add_admins, draft, tree.get("admins", []))
    for name, value in _table(tree, "users"):
        yield _line_of(text, name), partial(_add_toml_user, draft, name, value)
    for name, value in _table(tree, "groups"):
        yield _line_of(text, name), partial(_add_group, draft, name, value)
    for project, grants in _table(tree, "projects"):
        for who, value in _table({project: grants}, project):
            yield _line_of(text, who, project), partial(_grant, draft, project, who, value)


def _grant(draft: Draft, project: str, who: str, value: object) -> None:
    draft.grant(project, principal(who), permissions(value))


def _add_admins(draft: Draft, value: object) -> None:
    draft.admins.update(name.lower() for name in _words(value, "admins"))


def _add_toml_user(draft: Draft, name: str, value: object) -> None:
    if isinstance(value, str):
        value = {"password": value}
    if not isinstance(value, dict) or value.keys() - {"password", "admin", "disabled"}:
        raise ValueError(f"user {name!r} is a hash, or a table of password, admin and disabled")
    if any(type(value.get(mark, False)) is not bool for mark in ("admin", "disabled")):
        raise ValueError(f"admin and disabled of user {name!r} are true or false")
    _add_user(draft, name, value.get("password"))
    draft.admins.update([name.lower()] * value.get("admin", False))
    draft.disabled.update([name.lower()] * value.get("disabled", False))


def _add_user(draft: Draft, name: str, password: object) -> None:
    if not is_name(name):
        raise ValueError(f"{name!r} cannot be the name of a user")
    if password is not None and not (isinstance(password, str) and is_hash(password)):
        raise ValueError(f"the password of user {name!r} is no hash that can be verified")
    if name.lower() in {known.lower() for known in draft.passwords}:
        raise ValueError(f"user {name!r} is there already; upper and lower case are the same")
    draft.passwords[name] = password


def _add_group(draft: Draft, name: str, value: object) -> None:
    members = _words(value, name)
    if not is_name(name) or name.lower() in (EVERYONE, AUTHENTICATED):
        raise ValueError(f"{name!r} cannot be the name of a group")
    if wrong := [member for member in members if not is_name(member)]:
        raise ValueError(f"{wrong[0]!r} cannot be the name of a user")
    draft.groups[name] = draft.groups.get(name, frozenset()) | frozenset(members)


def _principal(kind: str, name: str) -> str:
    return name if kind == "group" and name in (EVERYONE, AUTHENTICATED) else f"{kind}:{name}"


def _table(tree: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    found = tree.get(key, {})
    if not isinstance(found, dict):
        raise errors.Misconfigured(f"line 1: {key!r} is a table")
    return iter(found.items())


def _words(value: object, what: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError(f"{what!r} is a list of words")
    return value


def _refuse(why: str) -> None:
    raise ValueError(why)


def _line_of(text: str, *words: str) -> int:
    """Where the first of the words stands that is to be found; tomllib does not say."""
    for word in words:
        found = re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w.-])", text, re.IGNORECASE)
        if found is not None:
            return text.count("\n", 0, found.start()) + 1
    return 1
