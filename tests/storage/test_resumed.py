"""A body goes on where it broke off, and is never anything but one body."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import errors
from app.storage.resumed import Body, Open
from app.storage.resumed import resumed as patient

WHOLE = bytes(range(200)) + b"end"


class Store:
    """Holds WHOLE, or what it is told to; each answer breaks off after so many bytes.

    A number of ``breaks`` is where an answer breaks off, counted from where it begins;
    None is an answer that never begins. After the last of them, answers are whole.
    """

    def __init__(self, breaks: Sequence[int | None] = (), *, size: int = 7) -> None:
        self.whole = WHOLE
        self.etag = "one"
        self.asked: list[tuple[int, str | None]] = []
        self.closed = 0
        self._breaks = iter(breaks)
        self._size = size

    async def open(self, start: int, etag: str | None) -> Body:
        """The body from there on, whatever the etag: not all stores look at it."""
        self.asked.append((start, etag))
        breaks = next(self._breaks, len(self.whole))
        if breaks is None:
            raise errors.StorageUnavailable("refused")
        return Body(self.etag, len(self.whole) - start, self._chunks(start, start + breaks))

    async def _chunks(self, start: int, stop: int) -> AsyncGenerator[bytes]:
        try:
            for at in range(start, min(stop, len(self.whole)), self._size):
                yield self.whole[at : min(at + self._size, stop)]
            if stop < len(self.whole):
                raise errors.StorageUnavailable("broke off")
        finally:
            self.closed += 1


def resumed(begin: Open, start: int = 0, *, attempts: int) -> AsyncGenerator[bytes]:
    """The body of the key ``a``, whose resumptions need not wait."""
    return patient("a", begin, start, attempts=attempts, pause=0)


async def joined(body: AsyncIterator[bytes]) -> bytes:
    """All of it."""
    return b"".join([chunk async for chunk in body])


async def collect(body: AsyncIterator[bytes], seen: bytearray) -> None:
    """The same, also where it raises."""
    async for chunk in body:
        seen += chunk


async def test_a_body_goes_on_where_it_broke_off() -> None:
    """Each answer begins at the first byte that is missing, for the etag of the first."""
    store = Store([50, 3, None, 0, 100])
    assert await joined(resumed(store.open, 10, attempts=4)) == WHOLE[10:]
    assert store.asked[0] == (10, None)
    assert store.asked[1:] == [(start, "one") for start in (60, 63, 63, 63, 163)]
    assert store.closed == 5


@given(
    breaks=st.lists(st.none() | st.integers(0, 60), max_size=12),
    start=st.integers(0, len(WHOLE)),
    size=st.integers(1, 50),
    attempts=st.integers(1, 4),
)
async def test_a_body_is_whole_or_raises(
    breaks: list[int | None], start: int, size: int, attempts: int
) -> None:
    """However answers break off, there come all the bytes, or the first of them and an error."""
    store = Store(breaks, size=size)
    seen = bytearray()
    try:
        await collect(resumed(store.open, start, attempts=attempts), seen)
    except errors.StorageUnavailable:
        never_answered = breaks[:attempts] == [None] * attempts
        assert len(seen) < len(WHOLE) - start or never_answered
        assert WHOLE[start:].startswith(seen)
        assert len(breaks) >= attempts
    else:
        assert seen == WHOLE[start:]


async def test_failures_in_a_row_are_counted() -> None:
    """The last of so many failures without a byte between them is raised; bytes begin anew."""
    store = Store([None, None, 5, None, 5, None, None])
    assert await joined(resumed(store.open, attempts=4)) == WHOLE
    store = Store([None, None, 5, None, 5, None, None])
    with pytest.raises(errors.StorageUnavailable, match="refused"):
        await joined(resumed(store.open, attempts=3))
    assert len(store.asked) == 7


async def test_a_body_that_ends_early_goes_on() -> None:
    """An answer that ends as if whole, but short of what it promised, is no end."""
    store = Store()

    async def short(start: int, etag: str | None) -> Body:
        body = await store.open(start, etag)
        return body._replace(chunks=store._chunks(start, len(WHOLE))) if start else cut(body)

    def cut(body: Body) -> Body:
        async def first() -> AsyncGenerator[bytes]:
            async with aclosing(store._chunks(0, len(WHOLE))) as chunks:
                yield await anext(chunks)

        return body._replace(chunks=first())

    assert await joined(resumed(short, attempts=2)) == WHOLE
    with pytest.raises(errors.StorageUnavailable, match="196 bytes early"):
        await joined(resumed(short, attempts=1))


async def test_an_error_behind_the_last_byte_is_none() -> None:
    """When all that was promised has come, the end of the connection does not matter."""
    for attempts in (1, 3):
        store = Store()

        async def begin(start: int, etag: str | None, store: Store = store) -> Body:
            body = await store.open(start, etag)

            async def chunks() -> AsyncGenerator[bytes]:
                async for chunk in body.chunks:
                    yield chunk
                raise errors.StorageUnavailable("reset")

            return body._replace(chunks=chunks())

        assert await joined(resumed(begin, attempts=attempts)) == WHOLE
        assert len(store.asked) == 1


@pytest.mark.parametrize(
    ("etag", "whole"),
    [("two", WHOLE), ("one", WHOLE + b"more"), ("one", WHOLE[:100])],
    ids=["another etag", "longer", "shorter"],
)
async def test_two_bodies_are_never_mixed(etag: str, whole: bytes) -> None:
    """A key that was replaced meanwhile is an error at once, also where the store goes on."""
    store = Store([50])
    body = resumed(store.open, attempts=5)
    seen = await anext(body)
    store.etag, store.whole = etag, whole
    rest = bytearray()
    with pytest.raises(errors.StorageUnavailable, match="replaced"):
        await collect(body, rest)
    assert seen + rest == WHOLE[:50]
    assert len(store.asked) == store.closed == 2


async def test_a_range_that_is_ignored_is_seen() -> None:
    """An answer that begins at the first byte again is refused, not appended."""
    store = Store([50])

    async def begin(start: int, etag: str | None) -> Body:
        return await store.open(0, etag)

    with pytest.raises(errors.StorageUnavailable, match="replaced"):
        await joined(resumed(begin, attempts=5))


async def test_more_than_promised_is_refused() -> None:
    """Bytes beyond the promised ones are not handed on."""
    store = Store()

    async def begin(start: int, etag: str | None) -> Body:
        return (await store.open(start, etag))._replace(remaining=100)

    seen = bytearray()
    with pytest.raises(errors.StorageUnavailable, match="more of a than it promised"):
        await collect(resumed(begin, attempts=5), seen)
    assert WHOLE[:100].startswith(seen)
    assert store.closed == 1


@pytest.mark.parametrize("error", [errors.KeyNotFound("a"), errors.BlobDamaged("a")])
async def test_other_errors_pass(error: Exception) -> None:
    """What does not pass by itself is raised at once."""
    asked = 0

    async def begin(start: int, etag: str | None) -> Body:
        nonlocal asked
        asked += 1
        raise error

    with pytest.raises(type(error)):
        await joined(resumed(begin, attempts=5))
    assert asked == 1


async def test_a_body_that_is_left_is_closed() -> None:
    """Whoever stops reading lets go of the connection."""
    store = Store()
    async with aclosing(resumed(store.open, attempts=2)) as body:
        await anext(body)
        assert store.closed == 0
    assert store.closed == 1
    assert len(store.asked) == 1


async def test_no_bytes() -> None:
    """A body of no bytes is asked for once, for its key may be missing."""
    store = Store()
    assert await joined(resumed(store.open, len(WHOLE), attempts=2)) == b""
    assert len(store.asked) == 1
