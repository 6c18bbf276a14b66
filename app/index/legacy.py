"""What PyPICloud kept beside the bytes: object metadata, or a ``.meta`` file in a folder.

PyPICloud 1.3 wrote the fields ``name, version, requires_python, summary, hash_sha256,
hash_md5, uploader``; empty ones were left out. On S3 the underscores became hyphens, and
scripts of former years added fields with underscores; both are read, underscores first.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from app.models import Actor
from app.upload.distribution import Distribution

SIDECAR_LIMIT = 1 << 20
"""No ``.meta`` file is longer than this many bytes."""
_ROOM = 1900
"""Bytes of names and values together: S3 takes 2 KB, some of which the storage needs itself."""
_DIGITS = re.compile(r"[0-9a-f]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was recorded of a file; None or empty where nothing was."""

    name: str | None = None
    version: str | None = None
    requires_python: str | None = None
    summary: str = ""
    sha256: str | None = None
    md5: str | None = None
    uploader: str | None = None

    def disagreement(self, *, sha256: str, md5: str) -> str | None:
        """Which recorded digest the bytes do not have; None where all agree."""
        for name, recorded, found in (("sha256", self.sha256, sha256), ("md5", self.md5, md5)):
            if recorded is not None and recorded.lower() != found:
                shown = recorded if _DIGITS.match(recorded.lower()) else "no digest"
                return f"the {name} recorded for it is {shown:.64}, that of its bytes {found}"
        return None


def facts(fields: Mapping[str, object]) -> Facts:
    """The facts that object metadata, or the content of a ``.meta`` file, tells."""
    known: dict[str, str] = {}
    for spelled in sorted(fields, key=lambda name: "-" in name):
        value = fields[spelled]
        if isinstance(value, str) and value.strip():
            known.setdefault(spelled.lower().replace("-", "_"), value.strip())
    return Facts(
        name=known.get("name"),
        version=known.get("version"),
        requires_python=known.get("requires_python"),
        summary=known.get("summary", ""),
        sha256=known.get("hash_sha256"),
        md5=known.get("hash_md5"),
        uploader=known.get("uploader"),
    )


def sidecar(content: bytes) -> Facts | None:
    """The facts of a ``.meta`` file; None where it is not the JSON that PyPICloud wrote."""
    try:
        return facts(msgspec.json.decode(content, type=dict[str, object]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def metadata(distribution: Distribution, uploader: Actor) -> dict[str, str]:
    """What PyPICloud would write with this file, in its plain ASCII; names with underscores.

    A summary that does not fit is left out.
    """
    fields = {
        "name": distribution.project,
        "version": distribution.version,
        "hash_sha256": distribution.hashes.sha256,
        "hash_md5": distribution.hashes.md5,
        "uploader": uploader.id,
        "requires_python": distribution.requires_python or "",
        "summary": distribution.summary,
    }
    kept: dict[str, str] = {}
    room = _ROOM
    for name, value in fields.items():
        plain = _plain(value)
        room -= len(name) + len(plain)
        if plain and room >= 0:
            kept[name] = plain
    return kept


def _plain(text: str) -> str:
    """Decomposed (NFKD), without what is not ASCII, every white space one blank."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    printable = "".join(c if c.isprintable() else " " for c in ascii_only)
    return " ".join(printable.split())
