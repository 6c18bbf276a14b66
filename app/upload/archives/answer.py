"""What an inspection finds, and how it crosses the pipe between child and parent.

A frame is four bytes with the length of a JSON head (big-endian), the head, and after an
answer the texts one by one; ``sizes`` in the head gives their lengths, null for none.
"""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    class Contents(TypedDict):
        """What was found in an archive; the names are whole paths of files."""

        root: str
        members: int
        unpacked: int
        has_pyproject: bool
        names: list[str]
        metadata: bytes
        wheel: bytes | None
        entry_points: bytes | None


_LICENSE_FILE = re.compile(rb"^license-file[ \t]*:[ \t]*([^\r\n]{1,1024})", re.I | re.M)
CLAIMS = 1_000


def frame(head: dict[str, object], *texts: bytes) -> bytes:
    """One frame."""
    encoded = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((len(encoded).to_bytes(4, "big"), encoded, *texts))


def found(contents: Contents, limit: int, *, worn: bool) -> bytes:
    """The frame of an answer; of the names only those that somebody may ask for."""
    texts = (contents["metadata"], contents["wheel"], contents["entry_points"])
    head: dict[str, object] = {
        "worn": worn,
        "root": contents["root"],
        "members": contents["members"],
        "unpacked": contents["unpacked"],
        "has_pyproject": contents["has_pyproject"],
        "names": _worth_telling(contents, limit),
        "sizes": [None if text is None else len(text) for text in texts],
    }
    return frame(head, *(text for text in texts if text))


def _worth_telling(contents: Contents, limit: int) -> list[str]:
    """Files of the root, named relatively: the first ``limit`` near its top, and the claimed.

    In a wheel those are of the dist-info directory, in an sdist directly in its top directory.
    A claim is a line of the metadata that begins with ``License-File:``, wherever it stands.
    """
    root = contents["root"] + "/"
    is_wheel = contents["wheel"] is not None
    inner = [name[len(root) :] for name in contents["names"] if name.startswith(root)]
    near = [name for name in inner if is_wheel or "/" not in name][:limit]
    claims: set[str] = set()
    for match in _LICENSE_FILE.finditer(contents["metadata"]):
        claim = match[1].decode("utf-8", "replace").strip()
        claims.add(f"licenses/{claim}" if is_wheel else claim)
        if len(claims) == CLAIMS:
            break
    return sorted({*near, *(name for name in inner if name in claims)})
