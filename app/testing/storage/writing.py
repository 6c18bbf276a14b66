"""What ``create`` and ``put`` promise."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from app import errors
from app.storage.base import Storage
from app.storage.whole import WholeFile
from app.testing.storage.keys import (
    chunks,
    content,
    listed,
    put,
)


class Writing:
    """Writes: whole or not at all, and durable."""

    async def test_create_writes_once(self, storage: Storage) -> None:
        """The first create of a key wins; a second changes nothing and says so."""
        assert await storage.create("a/b", b"first")
        assert not await storage.create("a/b", b"second")
        assert not await storage.create("a/b", b"first")
        assert await content(storage, "a/b") == b"first"

    async def test_create_raced(self, storage: Storage) -> None:
        """Of racing creates exactly one wins, and the bytes are its own."""
        for round_ in range(20):
            key = f"race/{round_}/event"
            created = await asyncio.gather(*(storage.create(key, b"%d" % n) for n in range(8)))
            assert created.count(True) == 1
            assert await content(storage, key) == b"%d" % created.index(True)

    async def test_create_after_delete(self, storage: Storage) -> None:
        """A deleted key can be created anew."""
        assert await storage.create("a/b", b"old")
        await storage.delete("a/b")
        assert await storage.create("a/b", b"new")
        assert await content(storage, "a/b") == b"new"

    async def test_create_of_a_key_that_was_put(self, storage: Storage) -> None:
        """Create sees what put wrote."""
        await put(storage, "a/b", b"put")
        assert not await storage.create("a/b", b"created")
        assert await content(storage, "a/b") == b"put"

    async def test_put_replaces(self, storage: Storage) -> None:
        """A put replaces what was there, whoever wrote it."""
        assert await storage.create("a/b", b"created")
        await put(storage, "a/b", b"put")
        await put(storage, "a/b", b"put ", b"again")
        assert await content(storage, "a/b") == b"put again"

    @pytest.mark.parametrize("parts", [(), (b"",), (b"a",), (b"", b"a", b"", b"b")])
    async def test_put_takes_any_chunks(self, storage: Storage, parts: tuple[bytes, ...]) -> None:
        """No bytes, empty chunks and single ones are all put."""
        await put(storage, "a/b", *parts)
        assert await content(storage, "a/b") == b"".join(parts)
        found = await storage.head("a/b")
        assert found is not None
        assert found.size == len(b"".join(parts))

    async def test_put_of_many_chunks(self, storage: Storage) -> None:
        """Several megabytes in uneven chunks come back as they were."""
        parts = [bytes([n % 251]) * (1 + n * 7919 % 200_000) for n in range(60)]
        await put(storage, "a/b", *parts)
        assert await content(storage, "a/b") == b"".join(parts)

    @pytest.mark.parametrize("size", [0, 7, 2**20, 3 * 2**20 + 1])
    async def test_put_of_a_whole_file(self, storage: Storage, tmp_path: Path, size: int) -> None:
        """The bytes of a file arrive, and stay when that is gone; what is there may be replaced."""
        for mark in (b"a", b"b"):
            source, whole = tmp_path / "source", mark * size
            source.write_bytes(whole)
            await self._put_file(storage, source, whole)
            source.unlink()
            assert await content(storage, "a/b") == whole
        assert await listed(storage) == ["a/b"]

    @pytest.mark.parametrize("before", [None, b"before"])
    @pytest.mark.parametrize("size", [7, 2**20])
    async def test_put_of_a_file_of_another_size(
        self, storage: Storage, tmp_path: Path, before: bytes | None, size: int
    ) -> None:
        """One that is shorter or longer than was promised is refused, and nothing is changed."""
        await self._prepare(storage, before)
        source = tmp_path / "source"
        for other in (size - 1, size + 1):
            source.write_bytes(b"x" * other)
            with pytest.raises(errors.BlobDamaged):
                await self._put_file(storage, source, b"x" * size)
            await self._unchanged(storage, before)

    @pytest.mark.parametrize("before", [None, b"before"])
    @pytest.mark.parametrize("large", [False, True])
    async def test_put_with_a_raising_iterator(
        self, storage: Storage, before: bytes | None, large: bool
    ) -> None:
        """A put whose source breaks off raises its error and leaves the key as it was."""

        async def breaking() -> AsyncIterator[bytes]:
            yield b"x" * (3 * 2**20 if large else 3)
            raise ConnectionResetError("the client went away")

        await self._prepare(storage, before)
        with pytest.raises(ConnectionResetError):
            await storage.put("a/b", breaking(), size=2**23, sha256="0" * 64)
        await self._unchanged(storage, before)

    @pytest.mark.parametrize("before", [None, b"before"])
    @pytest.mark.parametrize(
        ("size", "sha256"),
        [
            (7, hashlib.sha256(b"content").hexdigest()[::-1]),
            (6, hashlib.sha256(b"content").hexdigest()),
            (8, hashlib.sha256(b"content").hexdigest()),
            (6, hashlib.sha256(b"conten").hexdigest()),
            (0, hashlib.sha256(b"").hexdigest()),
        ],
    )
    async def test_put_of_other_bytes(
        self, storage: Storage, before: bytes | None, size: int, sha256: str
    ) -> None:
        """Bytes without the promised size and sha256 are refused, and the key stays as it was."""
        await self._prepare(storage, before)
        with pytest.raises(errors.BlobDamaged):
            await storage.put("a/b", chunks(b"con", b"tent"), size=size, sha256=sha256)
        await self._unchanged(storage, before)

    async def test_put_stops_reading_what_is_too_long(self, storage: Storage) -> None:
        """A source that never ends is refused soon after the promised size."""

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 2**16

        with pytest.raises(errors.BlobDamaged):
            await storage.put("a/b", endless(), size=2**17, sha256="0" * 64)
        await self._unchanged(storage, None)

    @pytest.mark.parametrize("before", [None, b"before"])
    async def test_put_cancelled_while_it_waits(
        self, storage: Storage, before: bytes | None
    ) -> None:
        """A put that is cancelled between two chunks leaves the key as it was."""
        waiting = asyncio.Event()

        async def hanging() -> AsyncIterator[bytes]:
            yield b"x" * 2**21
            waiting.set()
            await asyncio.Event().wait()

        await self._prepare(storage, before)
        task = asyncio.create_task(storage.put("a/b", hanging(), size=2**22, sha256="0" * 64))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await self._unchanged(storage, before)

    async def test_put_cancelled_before_its_source_hangs(self, storage: Storage) -> None:
        """However far a put has come, a cancellation ends it: it waits for no further chunk."""

        async def hanging() -> AsyncIterator[bytes]:
            for _ in range(9):
                yield b"x" * 2**20
            await asyncio.Event().wait()

        for steps in range(8):
            task = asyncio.create_task(storage.put("a/b", hanging(), size=2**24, sha256="0" * 64))
            await asyncio.sleep(0.002 * steps)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                async with asyncio.timeout(20):
                    await task
        await self._unchanged(storage, None)

    @pytest.mark.parametrize("before", [None, b"before"])
    async def test_put_cancelled_at_any_time(self, storage: Storage, before: bytes | None) -> None:
        """A put that raises CancelledError changed nothing; one that does not is whole."""
        part = b"x" * 2**20
        sha256 = hashlib.sha256(part * 2).hexdigest()
        await self._prepare(storage, before)
        for steps in range(40):
            task = asyncio.create_task(self._put_two(storage, part, sha256))
            for _ in range(steps):
                await asyncio.sleep(0.0002)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                await self._unchanged(storage, before)
            else:
                assert await content(storage, "a/b") == part * 2
                await storage.delete("a/b")
                await self._prepare(storage, before)

    async def test_put_raced(self, storage: Storage) -> None:
        """Readers beside writers see one of the written contents, whole."""
        contents = [bytes([n]) * (2**20 + n) for n in range(4)]
        await put(storage, "a/b", contents[0])

        async def write(whole: bytes) -> None:
            for _ in range(5):
                await put(storage, "a/b", whole)

        async def look() -> None:
            for _ in range(15):
                assert await content(storage, "a/b") in contents
                found = await storage.head("a/b")
                assert found is not None
                assert found.size in {len(whole) for whole in contents}

        await asyncio.gather(*map(write, contents), look(), look())

    async def _put_file(self, storage: Storage, source: Path, promised: bytes) -> None:
        sha256 = hashlib.sha256(promised).hexdigest()
        async with aclosing(WholeFile(source)) as whole:
            await storage.put("a/b", whole, size=len(promised), sha256=sha256)

    async def _put_two(self, storage: Storage, part: bytes, sha256: str) -> None:
        await storage.put("a/b", chunks(part, part), size=2 * len(part), sha256=sha256)

    async def _prepare(self, storage: Storage, before: bytes | None) -> None:
        if before is not None:
            await put(storage, "a/b", before)

    async def _unchanged(self, storage: Storage, before: bytes | None) -> None:
        assert await listed(storage) == ([] if before is None else ["a/b"])
        if before is None:
            assert await storage.head("a/b") is None
        else:
            assert await content(storage, "a/b") == before
