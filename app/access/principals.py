"""Names of users, and of those to whom something is granted: one spelling for each.

A principal is ``everyone``, ``authenticated``, ``user:NAME`` or ``group:NAME``. Names are
ASCII and known in lower case, so that no two of them look alike and no grant misses its user.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from app import errors

EVERYONE = "everyone"
AUTHENTICATED = "authenticated"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}\Z")


def is_name(text: str) -> bool:
    """Whether a user or a group may be called so."""
    return _NAME.match(text) is not None


def folded(text: str) -> str:
    """The one spelling of what may be a name; anything else as it is, and so nobody's."""
    return text.lower() if is_name(text) else text


def user_name(text: str) -> str:
    """The one spelling of a user's name; errors.InvalidName for what cannot be one."""
    if not is_name(text):
        raise errors.InvalidName(
            "A user name has 1 to 64 ASCII letters, digits, '.', '_', '@', '+' and '-', "
            "and begins with a letter or digit."
        )
    return text.lower()


def group_name(text: str) -> str:
    """The one spelling of a group's name; errors.InvalidName for what cannot be one.

    ``everyone`` and ``authenticated`` are in no list and cannot be made.
    """
    if not is_name(text) or text.lower() in (EVERYONE, AUTHENTICATED):
        raise errors.InvalidName(
            "A group name has 1 to 64 ASCII letters, digits, '.', '_', '@', '+' and '-', "
            "begins with a letter or digit, and is neither 'everyone' nor 'authenticated'."
        )
    return text.lower()


def principal(text: str) -> str:
    """The one spelling of a principal; errors.InvalidName for what is none."""
    if text in (EVERYONE, AUTHENTICATED):
        return text
    kind, _, name = text.partition(":")
    if kind not in ("user", "group") or not is_name(name):
        raise errors.InvalidName(
            "A principal is 'everyone', 'authenticated', 'user:NAME' or 'group:NAME'."
        )
    return f"{kind}:{name.lower()}"


def principals(texts: Iterable[str]) -> frozenset[str]:
    """A list of principals, such as a setting holds; errors.InvalidName if one is wrong."""
    return frozenset(principal(text) for text in texts)
