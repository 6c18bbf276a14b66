"""Everything about people as one value: brought to its one spelling, and compared. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from packaging.utils import NormalizedName

from app import errors, names
from app.access.base import UNBOUND, Account, Grants, People
from app.access.principals import group_name, principal, user_name
from app.models import Permission


def normalized(people: People, is_hash: Callable[[str], bool]) -> People:
    """The same with every name in its one spelling.

    Raises errors.InvalidName for a name that cannot be one, or that two accounts share once
    case is folded; errors.InvalidHash where ``is_hash`` knows no way to verify a password.
    """
    accounts: dict[str, Account] = {}
    for account in people.accounts:
        one = _account(account, is_hash)
        if one.name in accounts:
            raise errors.InvalidName(f"There are two users {one.name!r}; case makes none.")
        accounts[one.name] = one
    groups: dict[str, frozenset[str]] = {}
    for group, members in people.groups.items():
        name = group_name(group)
        groups[name] = groups.get(name, frozenset()) | {user_name(user) for user in members}
    return People(
        accounts=tuple(accounts.values()),
        groups=groups,
        grants=_grants(people.grants),
        registration=people.registration,
    )


def differences(before: People, after: People) -> Iterator[str]:
    """What bringing ``after`` in where ``before`` is would change, a line each."""
    there = {account.name: account for account in before.accounts}
    for account in after.accounts:
        yield from _account_differs(there.get(account.name), account)
    for group, members in sorted(after.groups.items()):
        if group not in before.groups:
            yield f"+ group {group}"
        new = members - before.groups.get(group, frozenset())
        yield from (f"+ {name} in group {group}" for name in sorted(new))
    for (project, generation), grants in sorted(after.grants.items()):
        granted = before.grants.get((project, generation), {})
        where = project if generation != UNBOUND else f"{project} (not there yet)"
        for who, permissions in sorted(grants.items()):
            had = granted.get(who, frozenset())
            if had != permissions:
                yield f"~ {who} on {where}: {_listed(had)} -> {_listed(permissions)}"
    if before.registration != after.registration:
        yield f"~ registration: {'open' if after.registration else 'closed'}"


def _account(account: Account, is_hash: Callable[[str], bool]) -> Account:
    name = user_name(account.name)
    if account.password is not None and not is_hash(account.password):
        raise errors.InvalidHash(f"The password of {name!r} is a hash that cannot be verified.")
    return Account(
        name=name,
        password=account.password,
        admin=account.admin,
        disabled=account.disabled,
        pending=account.pending,
    )


def _grants(
    every: Mapping[tuple[NormalizedName, str], Grants],
) -> Mapping[tuple[NormalizedName, str], Grants]:
    found: dict[tuple[NormalizedName, str], dict[str, frozenset[Permission]]] = {}
    for (project, generation), grants in every.items():
        own = found.setdefault((names.normalize(project), generation), {})
        for who, permissions in grants.items():
            one = principal(who)
            own[one] = own.get(one, frozenset()) | permissions
    return found


def _account_differs(before: Account | None, after: Account) -> Iterator[str]:
    if before is None:
        marks = [mark for mark in ("admin", "disabled", "pending") if getattr(after, mark)]
        yield f"+ user {after.name}{_in_brackets(marks)}"
        return
    for mark in ("admin", "disabled", "pending"):
        if getattr(before, mark) != getattr(after, mark):
            yield f"~ user {after.name}: {'' if getattr(after, mark) else 'not '}{mark}"


def _in_brackets(words: Iterable[str]) -> str:
    text = ", ".join(words)
    return f" ({text})" if text else ""


def _listed(permissions: Iterable[Permission]) -> str:
    return ", ".join(sorted(permissions)) or "nothing"
