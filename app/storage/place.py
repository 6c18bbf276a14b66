"""Where in a bucket a storage lies: ``scheme://BUCKET/PREFIX``."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from app import errors
from app.storage import keys

MAX_PREFIX = 256
"""Bytes of a prefix, so that room is left for keys in the 1024 of the stores."""

_IN_BUCKETS = frozenset({"s3", "cloudfront", "gs", "azure"})
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{0,254}\Z")


class Place(NamedTuple):
    """A bucket (or container), and what every key in it begins with: empty, or ending in ``/``."""

    bucket: str
    prefix: str


def of(url: str) -> Place | None:
    """Where a storage lies; None for one that lies in no bucket, or is somebody else's."""
    return parse(url) if url.partition(":")[0] in _IN_BUCKETS else None


def parse(url: str) -> Place:
    """The bucket and the prefix of a URL; errors.Misconfigured where it has none or bad ones.

    The message does not repeat the URL: somebody may have written a password into it.
    """
    scheme, _, rest = url.partition(":")
    bucket, _, path = rest.removeprefix("//").partition("/")
    prefix = unquote(path).strip("/")
    if not rest.startswith("//") or not _BUCKET.match(bucket) or "?" in path or "#" in path:
        raise errors.Misconfigured(
            f"The URL of the storage names no bucket; write {scheme}://BUCKET/PREFIX"
        )
    try:
        keys.check(prefix or "none")
    except ValueError:
        raise errors.Misconfigured(
            f"The URL of the storage has a prefix that no key can have: {prefix!r:.100}"
        ) from None
    if len(prefix) > MAX_PREFIX:
        raise errors.Misconfigured(f"The prefix of the storage is longer than {MAX_PREFIX} bytes")
    return Place(bucket, f"{prefix}/" if prefix else "")
