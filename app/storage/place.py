"""Where in a bucket a storage lies: ``scheme://BUCKET/PREFIX``."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from app import errors
from app.storage import keys

_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{0,254}\Z")


class Place(NamedTuple):
    """A bucket (or container), and what every key in it begins with: empty, or ending in ``/``."""

    bucket: str
    prefix: str


def parse(url: str) -> Place:
    """The bucket and the prefix of a URL; errors.Misconfigured where it has none or bad ones."""
    scheme, _, rest = url.partition("://")
    bucket, _, path = rest.partition("/")
    prefix = unquote(path).strip("/")
    if "?" in url or "#" in url or not _BUCKET.match(bucket):
        raise errors.Misconfigured(
            f"The storage {url!r} names no bucket; write {scheme}://BUCKET/PREFIX"
        )
    try:
        return Place(bucket, f"{keys.check(prefix)}/" if prefix else "")
    except ValueError:
        raise errors.Misconfigured(
            f"The storage {url!r} has a prefix that no key can have"
        ) from None
