"""``onefile:PATH``: a storage in one SQLite file.

An object is a row that names its chunks; they are written first, a few at a time, so that no
upload holds the file's lock for longer than it takes to write one of them. The row is the commit.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ulid import ULID

from app import errors
from app.models import Stored
from app.storage import keys
from app.storage.checksum import Checksum
from app.storage.settled import settled
from pypicloud_onefile.database import Database, opened

CHUNK = 2**20
"""Bytes of one row."""
PAGE = 1000
"""Keys that a scan reads at once."""
GRACE = timedelta(hours=1)
"""What was replaced or deleted can be read to its end for so long by whoever began before."""
ABANDONED = timedelta(days=1)
"""What nobody committed for so long was left behind by a process that ended."""
TIMEOUT = 15.0
"""Seconds to wait for what other processes write, unless the URL says otherwise."""

_COLUMNS = "key, size, modified, id, metadata"


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[OneFileStorage]:
    """The storage in ``onefile:PATH?timeout=SECONDS``; there are no other options."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    try:
        timeout = float(query.pop("timeout", TIMEOUT))
    except ValueError:
        raise errors.Misconfigured("timeout: write it in seconds, such as 15") from None
    if not parts.path or parts.netloc or query or options:
        raise errors.Misconfigured("Write the storage as onefile:PATH or onefile:PATH?timeout=15")
    async with opened(Path(parts.path), timeout) as database:
        storage = OneFileStorage(database)
        await storage.sweep()
        yield storage


class OneFileStorage:
    """A Storage of rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, key: str, content: bytes) -> bool:
        name = str(ULID())
        row = (keys.check(key), name, len(content), time.time(), "{}")

        def work(rows: sqlite3.Connection) -> bool:
            made = rows.execute("INSERT OR IGNORE INTO objects VALUES (?, ?, ?, ?, ?)", row)
            if made.rowcount != 1:
                return False
            parts = range(0, len(content), CHUNK)
            values = [(name, n, content[at : at + CHUNK]) for n, at in enumerate(parts)]
            rows.executemany("INSERT INTO chunks VALUES (?, ?, ?)", values)
            return True

        return await self._database.write(work)

    async def put(
        self,
        key: str,
        content: AsyncIterator[bytes],
        *,
        size: int,
        sha256: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        checksum = Checksum(keys.check(key), size=size, sha256=sha256)
        name = str(ULID())
        try:
            await self._chunks(name, content, checksum)
            checksum.verify()
            row = (key, name, size, time.time(), json.dumps(dict(metadata or {})))
            # Torn off here nobody would know whether the key is the old one or the new one.
            await settled(self._database.write(lambda rows: _replace(rows, row)))
        except BaseException:
            await settled(self._database.write(lambda rows: _forget(rows, name, key)))
            raise

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        keys.check_range(start, end)
        found = await self._found(key)
        if found is None:
            raise errors.KeyNotFound(key)
        stored, name = found
        stop = stored.size if end is None else min(end, stored.size)
        for number in range(start // CHUNK, -(-stop // CHUNK) if start < stop else 0):
            chunk = await self._database.read(partial(_chunk, name=name, number=number))
            if chunk is None:
                raise errors.StorageUnavailable(f"{key} was removed while it was read")
            begins = number * CHUNK
            yield chunk[max(start - begins, 0) : stop - begins]

    async def head(self, key: str) -> Stored | None:
        found = await self._found(key)
        return None if found is None else found[0]

    async def url(self, key: str, *, filename: str, expires_in: timedelta) -> str | None:
        keys.check(key)
        return None

    async def delete(self, key: str) -> None:
        await self.delete_many([key])

    async def delete_many(self, many: Sequence[str]) -> None:
        checked = [keys.check(key) for key in many]

        def work(rows: sqlite3.Connection) -> None:
            for key in checked:
                _drop(rows, key)
            _reap(rows)

        if checked:
            await self._database.write(work)

    async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        keys.check_prefix(prefix)
        last = ""
        while True:
            page = await self._database.read(partial(_page, prefix=prefix, after=last))
            for stored in page:
                yield stored
            if len(page) < PAGE:
                return
            last = page[-1].key

    async def sweep(self) -> None:
        """Remove what a process left behind which ended while it wrote."""
        oldest = str(ULID.from_datetime(datetime.now(UTC) - ABANDONED))

        def work(rows: sqlite3.Connection) -> None:
            _reap(rows)
            rows.execute(
                "DELETE FROM chunks WHERE id < ? AND id NOT IN"
                " (SELECT id FROM objects UNION ALL SELECT id FROM dropped)",
                (oldest,),
            )

        await self._database.write(work)

    async def _chunks(self, name: str, content: AsyncIterator[bytes], checksum: Checksum) -> None:
        held, number = bytearray(), 0
        async for piece in content:
            checksum.update(piece)
            held += piece
            while len(held) >= CHUNK:
                await self._chunk(name, number, bytes(held[:CHUNK]))
                del held[:CHUNK]
                number += 1
        if held:
            await self._chunk(name, number, bytes(held))

    async def _chunk(self, name: str, number: int, content: bytes) -> None:
        await self._database.write(
            lambda rows: rows.execute(
                "INSERT INTO chunks VALUES (?, ?, ?)", (name, number, content)
            )
        )

    async def _found(self, key: str) -> tuple[Stored, str] | None:
        keys.check(key)
        row = await self._database.read(
            lambda rows: rows.execute(
                f"SELECT {_COLUMNS} FROM objects WHERE key = ?",  # noqa: S608
                (key,),
            ).fetchone()
        )
        return None if row is None else (_stored(row), row[3])


def _replace(rows: sqlite3.Connection, row: tuple[object, ...]) -> None:
    _drop(rows, str(row[0]))
    _reap(rows)
    rows.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", row)


def _drop(rows: sqlite3.Connection, key: str) -> None:
    now = time.time()
    rows.execute("INSERT INTO dropped SELECT id, ? FROM objects WHERE key = ?", (now, key))
    rows.execute("DELETE FROM objects WHERE key = ?", (key,))


def _reap(rows: sqlite3.Connection) -> None:
    """Remove what nobody reads any more."""
    past = (time.time() - GRACE.total_seconds(),)
    rows.execute("DELETE FROM chunks WHERE id IN (SELECT id FROM dropped WHERE since < ?)", past)
    rows.execute("DELETE FROM dropped WHERE since < ?", past)


def _forget(rows: sqlite3.Connection, name: str, key: str) -> None:
    """Remove what was written for a put that failed, and nothing that was committed."""
    committed = rows.execute("SELECT 1 FROM objects WHERE key = ? AND id = ?", (key, name))
    if committed.fetchone() is None:
        rows.execute("DELETE FROM chunks WHERE id = ?", (name,))


def _chunk(rows: sqlite3.Connection, name: str, number: int) -> bytes | None:
    where = (name, number)
    row = rows.execute("SELECT content FROM chunks WHERE id = ? AND number = ?", where).fetchone()
    return None if row is None else bytes(row[0])


def _page(rows: sqlite3.Connection, prefix: str, after: str) -> list[Stored]:
    # Keys are ASCII, so that no key with the prefix is above it with a DEL behind.
    found = rows.execute(
        f"SELECT {_COLUMNS} FROM objects WHERE key >= ? AND key < ? AND key > ?"  # noqa: S608
        " ORDER BY key LIMIT ?",
        (prefix, f"{prefix}\x7f", after, PAGE),
    )
    return [_stored(row) for row in found]


def _stored(row: tuple[Any, ...]) -> Stored:
    key, size, modified, name, metadata = row
    return Stored(
        key=key,
        size=size,
        modified=datetime.fromtimestamp(modified, UTC),
        etag=name,
        metadata=json.loads(metadata),
    )
