"""Keys of every kind, and the shortest ways to write, read and list."""

import hashlib
from collections.abc import AsyncIterator, Mapping

from app.storage.base import Storage

ODD_KEYS = (
    "a",
    "blobs/x/1.0+local.1/x-1.0+local.1-py3-none-any.whl",
    "blobs/x/1!2.0/x-1!2.0.tar.gz",
    "journal/x/@project/0000000001.json",
    "odd/~tilde/-dash/_under/a..b/...dots/.hidden/comma,semi;colon:percent%2Fquote'",
    'odd/with a space/(parentheses)/[brackets]/{braces}=&$#?*|<>^`"',
    f"long/{'n' * 255}/{'m' * 255}",
)

INVALID_KEYS = (
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/../b",
    "a/./b",
    "a/..",
    ".tmp/a",
    ".a",
    "a\0b",
    "a\nb",
    "a\\b",
    "a\x7fb",
    "ä",
    "a/\u0430",
    f"a/{'n' * 256}",
    "/".join(["n" * 200] * 6),
)

INVALID_PREFIXES = ("/", "..", "../", "a//", "a/../", ".tmp/", "ä", "a\0", "a\\", "n" * 256)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """The parts, one after the other."""
    for part in parts:
        yield part


async def put(
    storage: Storage, key: str, *parts: bytes, metadata: Mapping[str, str] | None = None
) -> None:
    """Put the joined parts, with the size and the sha256 that they have."""
    content = b"".join(parts)
    sha256 = hashlib.sha256(content).hexdigest()
    await storage.put(key, chunks(*parts), size=len(content), sha256=sha256, metadata=metadata)


async def content(storage: Storage, key: str, *, start: int = 0, end: int | None = None) -> bytes:
    """The bytes of a key or of a range of it."""
    return b"".join([chunk async for chunk in storage.get(key, start=start, end=end)])


async def listed(storage: Storage, prefix: str = "") -> list[str]:
    """The keys that a scan finds, as it orders them."""
    return [stored.key async for stored in storage.scan(prefix)]
