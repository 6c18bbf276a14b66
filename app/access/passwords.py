"""Passwords: the rules for new ones, argon2id, and checking them without ever blocking.

A failed check costs the same whoever was asked for: once a hash of another make than ours was
seen, it costs one computation of each make, of which the user's own is one.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import argon2

from app import errors
from app.access import hashes
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

MAX_KINDS = 8
"""Makes of hashes that a failed check goes through."""


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


def spellings(password: str) -> tuple[bytes, ...]:
    """What of a password may have been hashed: composed, and as it was typed; nothing for nobody's.

    PyPICloud 1 did not compose.
    """
    composed = normal(password)
    if composed is None:
        return ()
    typed = password.encode()
    return (composed,) if typed in (composed, b"") or len(typed) > MAX_LENGTH else (composed, typed)


def check(hash: str | None, passwords: Sequence[bytes], decoys: Sequence[str]) -> bool:
    """Whether one of the passwords belongs to the hash; if not, the decoys are computed too."""
    if hash is not None and any(hashes.verify(hash, one) for one in _tried(hash, passwords)):
        return True
    for decoy in decoys:
        for one in _tried(decoy, passwords):
            hashes.verify(decoy, one)
    return False


def _tried(hash: str, passwords: Sequence[bytes]) -> Sequence[bytes]:
    # PyPICloud's tool, given a line, hashed the end of the line as well.
    with_newline = [one + b"\n" for one in passwords[:1]] if hashes.is_legacy(hash) else []
    return [*passwords, *with_newline]


def decoy(memory: int, passes: int) -> str:
    """A hash that costs what every other with these parameters costs, and fits no password."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (16, 32)
    )
    return f"$argon2id$v=19$m={memory},t={passes},p=1${salt}${digest}"


class Passwords:
    """Hashes and verifies in a bounded pool; one belongs to one event loop.

    ``min_length`` is in bytes, ``memory`` in KiB, ``threads`` None means one a core. ``decoys``
    are the makes of hashes that were seen; backends that are asked as one share them.
    """

    def __init__(
        self,
        *,
        min_length: int = MIN_LENGTH,
        memory: int = MEMORY,
        passes: int = PASSES,
        threads: int | None = None,
        queue: int = QUEUE,
        decoys: dict[str | None, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if min_length < LOWEST_MIN_LENGTH:
            raise errors.Misconfigured(
                f"The least length of passwords cannot be below {LOWEST_MIN_LENGTH}."
            )
        self._min_length = min_length
        self._hasher = argon2.PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=1)
        own = decoy(memory, passes)
        self._decoys: dict[str | None, str] = {} if decoys is None else decoys
        self._decoys.setdefault(hashes.kind(own), own)
        self.pool = HashPool(threads=threads, queue=queue)
        self._verified = Verified(clock=clock)
        self._under_way: dict[bytes, asyncio.Future[bool]] = {}

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Passwords:
        """As the options of a backend say.

        ``password_min_length`` (bytes), ``password_memory`` (KiB), ``password_passes``,
        ``hash_threads``, ``hash_queue``, ``decoys``; what is not given is as always.
        """
        return cls(
            min_length=options.get("password_min_length", MIN_LENGTH),
            memory=options.get("password_memory", MEMORY),
            passes=options.get("password_passes", PASSES),
            threads=options.get("hash_threads"),
            queue=options.get("hash_queue", QUEUE),
            decoys=options.get("decoys"),
        )

    @property
    def computed(self) -> int:
        """How many times something was hashed or checked."""
        return self.pool.computed

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
        return await self._hash(await asyncio.to_thread(self.check, password, name))

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
        passwords = spellings(password) or (b"",)
        kind = None if hash is None else hashes.kind(hash)
        if hash is None or kind is None or not passwords[0]:
            await self._compute(None, passwords, stamp)
            return False
        self.expect(hash)
        key = self._verified.key(stamp, hash, passwords[-1])
        if key in self._verified:
            return True
        return await self._compute(hash, passwords, stamp)

    def expect(self, hash: str) -> None:
        """A user has this hash: failed checks cost as if it were looked at, from now on."""
        kind = hashes.kind(hash)
        if kind is not None and kind not in self._decoys and len(self._decoys) < MAX_KINDS:
            self._decoys[kind] = hashes.like(hash)

    def outdated(self, hash: str) -> bool:
        """Whether the hash should be made anew with today's parameters."""
        return not hash.startswith("$argon2id$") or self._hasher.check_needs_rehash(hash)

    async def close(self) -> None:
        """End the threads."""
        await self.pool.close()

    async def _hash(self, encoded: bytes) -> str:
        return await asyncio.shield(self.pool.submit(self._hasher.hash, encoded))

    def _computed(self, key: bytes, future: asyncio.Future[bool]) -> None:
        """At once: whoever asks from now on must find it remembered, or else under way."""
        self._under_way.pop(key, None)
        if not future.cancelled() and future.exception() is None and future.result():
            self._verified.add(key)

    async def _compute(self, hash: str | None, passwords: Sequence[bytes], stamp: str) -> bool:
        """One computation for all who ask the same at the same time."""
        key = self._verified.key(stamp, hash or "", passwords[-1])
        future = self._under_way.get(key)
        if future is None:
            own = None if hash is None else hashes.kind(hash)
            decoys = [decoy for kind, decoy in self._decoys.items() if kind != own]
            future = self.pool.submit(check, hash, tuple(passwords), decoys)
            self._under_way[key] = future
            future.add_done_callback(partial(self._computed, key))
        return await asyncio.shield(future)
