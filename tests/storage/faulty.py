"""Stores behind a proxy that breaks things, and what may come of each call then.

A call ends with the truth or with errors.StorageUnavailable; afterwards the store holds what
was there before or what was asked for, whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from app import errors, plugins
from app.storage.base import Storage
from tests.servers.faults import FaultProxy, between
from tests.servers.plans import Answer

BOUND = 60.0
"""Seconds within which every call ends, with the time-outs of these tests."""
OURS = b"what this caller writes" * 40
OTHERS = b"what somebody else wrote before" * 40
LARGE = random.Random(3).randbytes(17 * 2**20)
"""More than is sent in one piece."""
LISTED = [f"{n:03}" for n in range(40)]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Store:
    """A store that listens on ``port``.

    ``options`` are those of ``connect``, given the store's URL and the time-outs.
    ``busy`` are answers with which such a store puts off its clients; ``unfinished`` lists the
    uploads below a folder that were begun and neither completed nor aborted.
    """

    url: str
    port: int
    options: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
    busy: tuple[Answer, ...]
    unfinished: Callable[[str], Sequence[str]]

    @asynccontextmanager
    async def opened(
        self, times: Mapping[str, Any], port: int | None = None
    ) -> AsyncIterator[Storage]:
        """The storage, directly or through a proxy's port."""
        options = self.options(f"http://127.0.0.1:{port or self.port}", times)
        async with plugins.backend("storage", self.url)(self.url, options) as storage:
            yield storage

    @asynccontextmanager
    async def faulty(self, times: Mapping[str, Any]) -> AsyncIterator[Lane]:
        """The storage behind a proxy of its own."""
        with between(self.port) as proxy:
            async with self.opened(times, proxy.port) as storage:
                yield Lane(proxy, storage)


class Lane(NamedTuple):
    """A storage, and what breaks it."""

    proxy: FaultProxy
    storage: Storage


class Lie(AssertionError):
    """A call said what is not so."""


@dataclass(frozen=True, slots=True)
class Case:
    """One key of one call, asked of ``storage`` with faults; ``direct`` tells what is true."""

    storage: Storage
    direct: Storage
    key: str
    failures: list[errors.PypicloudError] = field(default_factory=list)

    async def tried(self, call: Awaitable[T]) -> T | errors.PypicloudError:
        """What came of it within its time."""
        try:
            async with asyncio.timeout(BOUND):
                return await call
        except (errors.StorageUnavailable, errors.BlobDamaged) as error:
            self.failures.append(error)
            return error

    async def found(self) -> bytes | None:
        """What the key holds."""
        try:
            return b"".join([chunk async for chunk in self.direct.get(self.key)])
        except errors.KeyNotFound:
            return None

    async def expect(self, *allowed: bytes | None) -> None:
        """The key holds one of these."""
        if (found := await self.found()) not in allowed:
            raise Lie(f"the key holds {found and found[:60]!r} of {found and len(found)} bytes")

    async def put(self, content: bytes) -> None:
        """Put it, in pieces."""

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(content), 2**18):
                yield content[at : at + 2**18]

        digest = hashlib.sha256(content).hexdigest()
        await self.storage.put(self.key, pieces(), size=len(content), sha256=digest)

    async def read(self, **range_: int) -> bytes:
        """Get it."""
        return b"".join([chunk async for chunk in self.storage.get(self.key, **range_)])

    async def listed(self) -> list[str]:
        """Scan it."""
        return [stored.key async for stored in self.storage.scan(self.key)]


Call = Callable[[Case], Awaitable[bool]]
"""Makes one call and holds it against the truth: whether it succeeded. Raises Lie."""


async def create(case: Case) -> bool:
    """A new key is created, and said to be ours if it is."""
    said = await case.tried(case.storage.create(case.key, OURS))
    if said is False:
        raise Lie("nobody else created it")
    await case.expect(OURS, *([] if said is True else [None]))
    return said is True


async def create_taken(case: Case) -> bool:
    """A key of somebody else stays theirs."""
    return await _taken(case, OTHERS)


async def create_taken_by_the_same(case: Case) -> bool:
    """A key of somebody else is theirs also where the bytes are the same."""
    return await _taken(case, OURS)


async def _taken(case: Case, content: bytes) -> bool:
    assert await case.direct.create(case.key, content)
    said = await case.tried(case.storage.create(case.key, OURS))
    if said is True:
        raise Lie("somebody else created it")
    await case.expect(content)
    return said is False


async def create_raced(case: Case) -> bool:
    """Of two that race one may win, and then the bytes are its own."""
    contents = [OURS, OTHERS]
    said = await asyncio.gather(
        *(case.tried(case.storage.create(case.key, content)) for content in contents)
    )
    winners = [content for content, won in zip(contents, said, strict=True) if won is True]
    if len(winners) > 1 or (said[0] is False and said[1] is False):
        raise Lie(f"they were told {said}")
    unknown = [c for c, won in zip(contents, said, strict=True) if not isinstance(won, bool)]
    nobody: list[bytes | None] = [None] if len(unknown) == len(contents) else []
    await case.expect(*(winners or nobody + unknown))
    return all(isinstance(won, bool) for won in said)


async def put(case: Case) -> bool:
    """A new key is whole or not there."""
    return await _put(case, OURS, None)


async def put_over(case: Case) -> bool:
    """A replaced key is the old one or the new one."""
    assert await case.direct.create(case.key, OTHERS)
    return await _put(case, OURS, OTHERS)


async def put_large(case: Case) -> bool:
    """A key that is sent in parts is whole or not there."""
    return await _put(case, LARGE, None)


async def _put(case: Case, content: bytes, before: bytes | None) -> bool:
    said = await case.tried(case.put(content))
    await case.expect(content, *([] if said is None else [before]))
    return said is None


async def get(case: Case) -> bool:
    """A body is whole, or none."""
    assert await case.direct.create(case.key, OURS)
    return _same(await case.tried(case.read()), OURS)


async def get_large(case: Case) -> bool:
    """A body that comes in pieces is whole, or none."""
    await Case(case.direct, case.direct, case.key).put(LARGE)
    return _same(await case.tried(case.read()), LARGE)


async def get_part(case: Case) -> bool:
    """A part is the whole part, or none."""
    assert await case.direct.create(case.key, OURS)
    return _same(await case.tried(case.read(start=7, end=700)), OURS[7:700])


async def get_missing(case: Case) -> bool:
    """What is not there is nothing else."""
    try:
        said = await case.tried(case.read())
    except errors.KeyNotFound:
        return True
    if isinstance(said, bytes):
        raise Lie(f"there are {len(said)} bytes of nothing")
    return False


async def head(case: Case) -> bool:
    """What is there is there."""
    assert await case.direct.create(case.key, OURS)
    said = await case.tried(case.storage.head(case.key))
    if said is None or (not isinstance(said, Exception) and said.size != len(OURS)):
        raise Lie(f"it was said to be {said}")
    return not isinstance(said, Exception)


async def head_missing(case: Case) -> bool:
    """What is not there is not there."""
    return _same(await case.tried(case.storage.head(case.key)), None)


async def delete(case: Case) -> bool:
    """What was deleted is gone."""
    assert await case.direct.create(case.key, OURS)
    said = await case.tried(case.storage.delete(case.key))
    await case.expect(None, *([] if said is None else [OURS]))
    return said is None


async def scan(case: Case) -> bool:
    """A listing has every key, or fails."""
    keys = [f"{case.key}/{name}" for name in LISTED]
    await asyncio.gather(*(case.direct.create(key, b"") for key in keys))
    return _same(await case.tried(case.listed()), keys)


def _same(said: object, truth: object) -> bool:
    if isinstance(said, errors.PypicloudError):
        return False
    if said != truth:
        raise Lie(f"{str(said)[:200]} is not {str(truth)[:200]}")
    return True


CALLS: tuple[Call, ...] = (
    create,
    create_taken,
    create_taken_by_the_same,
    create_raced,
    put,
    put_over,
    put_large,
    get,
    get_large,
    get_part,
    get_missing,
    head,
    head_missing,
    delete,
    scan,
)
BODIES = frozenset({get, get_large, get_part})
"""Calls that go on where a body broke off."""
VERIFIED = frozenset({get, get_large})
"""Calls that see when a byte of what they got is another."""
