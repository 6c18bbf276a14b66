"""Passwords: the rules for new ones, argon2id, and checking them without ever blocking."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
import unicodedata
from collections.abc import Callable, Mapping

import argon2

from app import errors
from app.access.guessable import is_guessable
from app.access.pool import QUEUE, HashPool
from app.access.verified import Verified

MIN_LENGTH = 12
LOWEST_MIN_LENGTH = 8
MAX_LENGTH = 1024
"""Lengths are in bytes of UTF-8, after NFC."""

MEMORY = 19 * 1024
"""KiB."""
PASSES = 2

# Neither I, l, 1 nor O, o, 0: what is printed once is sometimes typed. 25 of 30 are 122 bits.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxy"
_GENERATED_LENGTH = 25

Verify = Callable[[str, bytes], bool]


def generate() -> str:
    """A random password of at least 120 bits, easy to read."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GENERATED_LENGTH))


def normal(password: str) -> bytes | None:
    """The bytes that are hashed (NFC, UTF-8), or None for what can be nobody's password."""
    if not password or len(password) > MAX_LENGTH or "\0" in password:
        return None
    try:
        encoded = unicodedata.normalize("NFC", password).encode()
    except UnicodeEncodeError:
        return None
    return encoded if len(encoded) <= MAX_LENGTH else None


def _argon2(hash: str, password: bytes) -> bool:
    try:
        return argon2.PasswordHasher().verify(hash, password)
    except (argon2.exceptions.VerificationError, ValueError):  # not the password; not a hash
        return False


VERIFIERS: Mapping[str, Verify] = {"$argon2id$": _argon2}
"""How to verify a hash, by what it begins with."""


def verify(hash: str, password: bytes) -> bool:
    """Whether the password belongs to the hash; False for a hash of unknown make. Takes long."""
    for prefix, verifier in VERIFIERS.items():
        if hash.startswith(prefix):
            return verifier(hash, password)
    return False


def decoy(memory: int, passes: int) -> str:
    """A hash that costs what every other with these parameters costs, and fits no password."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (16, 32)
    )
    return f"$argon2id$v=19$m={memory},t={passes},p=1${salt}${digest}"


class Passwords:
    """Hashes and verifies in a bounded pool; one belongs to one event loop.

    ``min_length`` is in bytes, ``memory`` in KiB, ``threads`` None means one a core.
    """

    def __init__(
        self,
        *,
        min_length: int = MIN_LENGTH,
        memory: int = MEMORY,
        passes: int = PASSES,
        threads: int | None = None,
        queue: int = QUEUE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if min_length < LOWEST_MIN_LENGTH:
            raise errors.Misconfigured(
                f"The least length of passwords cannot be below {LOWEST_MIN_LENGTH}."
            )
        self._min_length = min_length
        self._hasher = argon2.PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=1)
        self._nobody = decoy(memory, passes)
        self._pool = HashPool(threads=threads, queue=queue)
        self._verified = Verified(clock=clock)
        self._under_way: dict[bytes, asyncio.Future[bool]] = {}

    @property
    def computed(self) -> int:
        """How many times argon2 was run."""
        return self._pool.computed

    def check(self, password: str, name: str = "") -> bytes:
        """The bytes to hash of a new password for a user.

        Raises errors.InvalidPassword for one that is too short, too long or too common.
        """
        encoded = normal(password)
        if encoded is None and password:
            raise errors.InvalidPassword(
                f"A password has at most {MAX_LENGTH} bytes, valid UTF-8 and no NUL among them."
            )
        if encoded is None or len(encoded) < self._min_length:
            raise errors.InvalidPassword(f"A password has at least {self._min_length} bytes.")
        if is_guessable(password, name):
            raise errors.InvalidPassword("This password is among the first that anybody tries.")
        return encoded

    async def hash(self, password: str, name: str = "") -> str:
        """The argon2id hash of a new password; errors.InvalidPassword, errors.Busy."""
        return await self._hash(self.check(password, name))

    async def rehash(self, password: str) -> str:
        """The same for a password that is in use already, whatever today's rules say."""
        encoded = normal(password)
        if encoded is None:
            raise errors.InvalidPassword("This can be nobody's password.")
        return await self._hash(encoded)

    async def verify(self, hash: str | None, password: str, *, stamp: str) -> bool:
        """Whether the password belongs to the hash; errors.Busy where too many are asked.

        ``hash`` None (nobody, or somebody disabled) costs what a wrong password costs, and
        is False. ``stamp`` names the user and the version of the password.
        """
        encoded = normal(password)
        if hash is None or encoded is None:
            await self._compute(self._nobody, encoded or b"", stamp)
            return False
        if self._verified.key(stamp, hash, encoded) in self._verified:
            return True
        right = await self._compute(hash, encoded, stamp)
        if right:
            self._verified.add(self._verified.key(stamp, hash, encoded))
        return right

    def outdated(self, hash: str) -> bool:
        """Whether the hash should be made anew with today's parameters."""
        return not hash.startswith("$argon2id$") or self._hasher.check_needs_rehash(hash)

    async def close(self) -> None:
        """End the threads."""
        await self._pool.close()

    async def _hash(self, encoded: bytes) -> str:
        return await asyncio.shield(self._pool.submit(self._hasher.hash, encoded))

    async def _compute(self, hash: str, encoded: bytes, stamp: str) -> bool:
        """One computation for all who ask the same at the same time."""
        key = self._verified.key(stamp, hash, encoded)
        future = self._under_way.get(key)
        if future is None:
            future = self._pool.submit(verify, hash, encoded)
            self._under_way[key] = future
            future.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(future)
