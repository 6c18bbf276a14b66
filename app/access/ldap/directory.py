"""What is asked of the directory, in a thread: who a name is, and of which groups."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ldap
from ldap.dn import escape_dn_chars, str2dn
from ldap.filter import escape_filter_chars

from app.access.options import PLACE, LdapOptions
from app.access.principals import is_name

log = logging.getLogger(__name__)

IN_CHAIN = "1.2.840.113556.1.4.1941"
"""Active Directory's matching rule: a member, however deep."""
DEEPEST = 10
"""Groups in groups in groups."""
MOST_GROUPS = 1000

_Attributes = Mapping[str, Sequence[bytes]]
_Entries = tuple[list[tuple[str, _Attributes]], bool]
"""Entries by DN, and whether these are all."""
_NOTHING = ["1.1"]


class Ambiguous(Exception):
    """More than one entry has this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A user's entry: the name by which it is known here, its groups as we spell them."""

    dn: str
    name: str
    groups: frozenset[str]
    admin: bool


class Directory:
    """The questions. ``connection`` is python-ldap's; what it raises is the caller's to tell."""

    def __init__(self, options: LdapOptions) -> None:
        self._options = options
        self._names = {_folded(name): ours for name, ours in options.group_names.items()}
        self._admins = frozenset(_folded(name) for name in options.admin_groups)
        self._values = frozenset(value.casefold() for value in options.admin_values)

    def serve(self, connection: Any) -> None:
        """Bind as the service, which may be nobody."""
        secret = self._options.bind_password
        if secret is not None:
            connection.simple_bind_s(self._options.bind_dn, secret.get_secret_value())

    def try_out(self, connection: Any) -> None:
        """Ask what will be asked, of somebody who is not there."""
        self.serve(connection)
        self._entries(connection, "nobody", _NOTHING)
        if self._options.group_base_dn:
            self._holding(connection, "nobody")

    def dn_of(self, username: str) -> str:
        """The DN that the name must have, where the options say so."""
        return self._options.user_dn.replace(PLACE, escape_dn_chars(username))

    def find(self, connection: Any, username: str) -> Found | None:
        """The one entry of this name; Ambiguous where there are several."""
        wanted = [
            name
            for name in (
                self._options.name_attribute,
                self._options.admin_attribute,
                "" if self._options.group_base_dn else self._options.group_attribute,
            )
            if name
        ]
        entries, all_of_them = self._entries(connection, username, wanted or _NOTHING)
        if len(entries) > 1 or not all_of_them:
            raise Ambiguous
        if not entries:
            return None
        dn, attributes = entries[0]
        if not dn:
            return None
        name = self._name(username, attributes)
        if name is None:
            log.warning("the entry %r has no name that can be one here", dn)
            return None
        groups = self._groups(connection, dn, username, attributes)
        return Found(
            dn=dn,
            name=name,
            groups=frozenset(spelled for group in groups if (spelled := self._spelled(*group))),
            admin=self._is_admin(groups, attributes),
        )

    def _entries(self, connection: Any, username: str, wanted: Sequence[str]) -> _Entries:
        options = self._options
        if options.user_dn:
            dn = self.dn_of(username)
            return _searched(connection, dn, ldap.SCOPE_BASE, "(objectClass=*)", wanted)
        question = options.user_filter.replace(PLACE, escape_filter_chars(username))
        return _searched(connection, options.base_dn, ldap.SCOPE_SUBTREE, question, wanted, most=2)

    def _name(self, username: str, attributes: _Attributes) -> str | None:
        if not self._options.name_attribute:
            return username.lower()
        values = list(_values(attributes, self._options.name_attribute))
        if len(values) != 1 or not is_name(values[0]):
            return None
        return values[0].lower()

    def _groups(
        self, connection: Any, dn: str, username: str, attributes: _Attributes
    ) -> dict[tuple[str, str], None]:
        """The groups by DN and name."""
        options = self._options
        if options.group_base_dn:
            member = username if options.group_member == "memberUid" else dn
            found = self._holding(connection, member)
        else:
            found = _named(_values(attributes, options.group_attribute))
        if options.nested_groups == "walk":
            self._walk(connection, found)
        return found

    def _walk(self, connection: Any, found: dict[tuple[str, str], None]) -> None:
        edge = list(found)
        for _ in range(DEEPEST):
            above: dict[tuple[str, str], None] = {}
            for dn, _name in edge:
                above |= self._above(connection, dn)
            edge = [group for group in above if group not in found]
            found |= dict.fromkeys(edge)
            if not edge:
                return
            if len(found) > MOST_GROUPS:
                break
        log.warning("groups are nested too deep, or are too many; some are not seen")

    def _above(self, connection: Any, dn: str) -> dict[tuple[str, str], None]:
        if self._options.group_base_dn:
            return self._holding(connection, dn)
        attribute = self._options.group_attribute
        try:
            entries, _ = _searched(connection, dn, ldap.SCOPE_BASE, "(objectClass=*)", [attribute])
        except ldap.INSUFFICIENT_ACCESS:
            return {}
        return _named(value for _, one in entries for value in _values(one, attribute))

    def _holding(self, connection: Any, member: str) -> dict[tuple[str, str], None]:
        """The groups that name this member."""
        options = self._options
        rule = f":{IN_CHAIN}:" if options.nested_groups == "matching-rule" else ""
        held = f"({options.group_member}{rule}={escape_filter_chars(member)})"
        entries, all_of_them = _searched(
            connection,
            options.group_base_dn,
            ldap.SCOPE_SUBTREE,
            f"(&{options.group_filter}{held})",
            [options.group_name],
            most=MOST_GROUPS,
        )
        if not all_of_them:
            log.warning("%r is of more groups than the directory tells", member)
        return {
            (dn, name): None
            for dn, attributes in entries
            for name in list(_values(attributes, options.group_name))[:1]
        }

    def _spelled(self, dn: str, name: str) -> str | None:
        """The group's name here; None for one that cannot have any."""
        given = self._names.get(_folded(dn)) or self._names.get(_folded(name))
        spelled = given or re.sub(r"\s+", "-", name.strip())
        return spelled.lower() if is_name(spelled) else None

    def _is_admin(self, groups: Iterable[tuple[str, str]], attributes: _Attributes) -> bool:
        if any(
            not self._admins.isdisjoint({_folded(dn), _folded(name), self._spelled(dn, name) or ""})
            for dn, name in groups
        ):
            return True
        values = _values(attributes, self._options.admin_attribute)
        return any(value.casefold() in self._values for value in values)


def _searched(
    connection: Any, base: str, scope: int, question: str, wanted: Sequence[str], *, most: int = 0
) -> _Entries:
    """The entries, at most ``most`` (0: as many as there are); none where the base is not there."""
    request = connection.search_ext(base, scope, question, list(wanted), sizelimit=most)
    found: list[tuple[str, _Attributes]] = []
    try:
        while True:
            kind, batch, *_ = connection.result3(request, all=0)
            # References to other servers have no DN, and are not followed.
            found += [(dn, attributes) for dn, attributes in batch if dn is not None]
            if kind == ldap.RES_SEARCH_RESULT:
                return found, True
    except (ldap.NO_SUCH_OBJECT, ldap.INVALID_DN_SYNTAX):
        return [], True
    except ldap.SIZELIMIT_EXCEEDED:
        return found, False


def _named(every: Iterable[str]) -> dict[tuple[str, str], None]:
    """Groups that are known by DN alone, with the value of its first part."""
    found: dict[tuple[str, str], None] = {}
    for dn in every:
        try:
            parts = str2dn(dn)
        except ldap.DECODING_ERROR:
            continue
        if parts:
            found[dn, parts[0][0][1]] = None
    return found


def _values(attributes: _Attributes, name: str) -> Iterable[str]:
    """The values that are text; attributes have no case."""
    for held, values in attributes.items():
        if name and held.casefold() == name.casefold():
            for value in values:
                try:
                    yield value.decode()
                except UnicodeDecodeError:
                    continue


def _folded(name: str) -> str:
    """A DN, or a name, as it is compared."""
    try:
        parts = str2dn(name)
    except ldap.DECODING_ERROR:
        return name.strip().casefold()
    return ",".join(
        "+".join(f"{key}={value}" for key, value, _ in sorted(part)) for part in parts
    ).casefold()
