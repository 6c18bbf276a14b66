"""What a request asks, as far as an answer that is kept can depend on it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Key = tuple[bytes | None, ...]

# What an answer that is offered may depend on. A question that says one of them twice, or has
# any of UNUSUAL, is for the door; every other field makes no difference to these answers.
_ASKED = {
    b"host": 2,
    b"accept": 3,
    b"accept-encoding": 4,
    b"x-forwarded-proto": (_PROTO := 5),
    b"x-forwarded-host": (_FORWARDED_HOST := 6),
}
_PEER = 7
_AUTHORIZATION = b"authorization"
_IF_NONE_MATCH = b"if-none-match"
_AGENT = b"user-agent"
UNUSUAL = frozenset(
    {
        b"range",
        b"if-range",
        b"cookie",
        b"expect",
        b"upgrade",
        b"content-length",
        b"content-type",
        b"transfer-encoding",
        b"forwarded",
    }
)
_MOST_FIELDS = 40
LONGEST = 4096
"""Bytes of a request that are worth remembering: clients send fewer, and many are kept."""


@dataclass(slots=True)
class Question:
    """A request, as far as these answers depend on it.

    ``who`` stands for the credentials, once somebody had to know (Hot.digest). ``agent`` is
    the User-Agent: no answer depends on it, but downloads are counted by it.
    """

    key: Key
    authorization: bytes | None
    if_none_match: bytes | None
    who: bytes | None = None
    agent: bytes = b""


def question(
    method: bytes,
    target: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    unusual: frozenset[bytes] = UNUSUAL,
    *,
    peer: bytes = b"",
) -> Question | None:
    """What is asked, or None for what only a door can answer. Names are in lower case.

    ``peer`` is the address that asks: what it forwards counts only where it is trusted.
    """
    if method not in (b"GET", b"HEAD"):
        return None
    key: list[bytes | None] = [method, target, None, None, None, None, None, None]
    authorization = none_match = None
    agent = b""
    fields = 0
    for name, value in headers:
        fields += 1
        if (place := _ASKED.get(name)) is not None:
            if key[place] is not None:
                return None
            key[place] = value
        elif name == _AUTHORIZATION:
            if authorization is not None:
                return None
            authorization = value
        elif name == _IF_NONE_MATCH:
            if none_match is not None:
                return None
            none_match = value
        elif name == _AGENT:
            agent = agent or value
        elif name in unusual:
            return None
    if fields > _MOST_FIELDS:
        return None
    if key[_PROTO] is not None or key[_FORWARDED_HOST] is not None:
        key[_PEER] = peer
    return Question(tuple(key), authorization, none_match, agent=agent)
