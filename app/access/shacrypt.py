"""SHA-crypt, as ``crypt(3)`` has it: ``$5$`` (SHA-256) and ``$6$`` (SHA-512).

Follows Ulrich Drepper's specification, "Unix crypt using SHA-256 and SHA-512", whose steps
the comments number.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DEFAULT_ROUNDS = 5000
_LEAST_ROUNDS = 1000
_FORM = re.compile(r"\$([56])\$(?:rounds=(\d{1,9})\$)?([^$]{0,16})\$([./0-9A-Za-z]+)\Z")
_LENGTHS = {"5": 43, "6": 86}
_HASHES: dict[str, Callable[[bytes], Any]] = {"5": hashlib.sha256, "6": hashlib.sha512}


@dataclass(frozen=True, slots=True)
class Setting:
    """What a hash was made with."""

    scheme: str
    rounds: int
    salt: bytes
    digest: str


def parse(hash: str) -> Setting | None:
    """The parts of a hash; None for what is malformed."""
    match = _FORM.match(hash)
    if match is None or len(match[4]) != _LENGTHS[match[1]]:
        return None
    rounds = _DEFAULT_ROUNDS if match[2] is None else max(_LEAST_ROUNDS, int(match[2]))
    return Setting(match[1], rounds, match[3].encode(), match[4])


def verify(hash: str, password: bytes) -> bool:
    """Whether the password belongs to the hash."""
    setting = parse(hash)
    return setting is not None and hmac.compare_digest(_digest(setting, password), setting.digest)


def _digest(setting: Setting, password: bytes) -> str:
    hashed, salt = _HASHES[setting.scheme], setting.salt
    alternate = hashed(password + salt + password).digest()  # 4 to 8
    size = len(alternate)
    start = hashed(password + salt + _stretched(alternate, len(password)))  # 1 to 3, 9, 10
    length = len(password)
    while length:  # 11
        start.update(alternate if length & 1 else password)
        length >>= 1
    digest = start.digest()  # 12
    p = _stretched(hashed(password * len(password)).digest(), len(password))  # 13 to 16
    s = _stretched(hashed(salt * (16 + digest[0])).digest(), len(salt))  # 17 to 20
    for number in range(setting.rounds):  # 21
        digest = hashed(
            (p if number & 1 else digest)
            + (s if number % 3 else b"")
            + (p if number % 7 else b"")
            + (digest if number & 1 else p)
        ).digest()
    return _encoded(digest, size)


def _stretched(block: bytes, length: int) -> bytes:
    return (block * (length // len(block) + 1))[:length]


def _encoded(digest: bytes, size: int) -> str:
    """Step 22: three bytes at a time, from three places that go round."""
    third, step = size // 3, 1 if size == 64 else 2
    places = [0, third, 2 * third]
    text = ""
    for _ in range(third):
        text += _letters([digest[place] for place in places], 4)
        places = [place + 1 for place in (places[step:] + places[:step])]
    rest = [0, *([] if size == 64 else [digest[31]]), digest[63] if size == 64 else digest[30]]
    return text + _letters([0] * (3 - len(rest)) + rest, 2 if size == 64 else 3)


def _letters(three: list[int], count: int) -> str:
    number = three[0] << 16 | three[1] << 8 | three[2]
    return "".join(ALPHABET[number >> 6 * place & 63] for place in range(count))
