"""The process that lists an archive, or reads one member of it, and ends: under limits.

It is run by app.web.archives, and believes nothing: the readers are those that look at uploads.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, BinaryIO

from app.upload.archives import tars, zip_members
from app.upload.archives.limits import Limits
from app.upload.archives.members import Budget, Refusal
from app.upload.archives.sandbox import allow_cpu, lock_down
from app.upload.archives.zip_directory import read_directory

CPU = 5.0
MEMORY = 256 << 20
TEXT = 256 << 10
"""Bytes of a member that are shown."""
LIMITS = Limits(members=100_000, pax=1 << 20)


def main() -> None:
    """Lock down, open, answer in one piece of JSON."""
    parent, path, member = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    with open(path, "rb") as file:  # noqa: PTH123  # before nothing may be opened by name
        lock_down(MEMORY, parent)
        allow_cpu(CPU)
        length = os.fstat(file.fileno()).st_size
        try:
            found = answer(file, length, member, tar=path.endswith(".gz"))
        except Refusal as refusal:
            found = {"refused": str(refusal)}
    view = memoryview(json.dumps(found).encode())
    while view:
        view = view[os.write(1, view) :]


def answer(file: BinaryIO, length: int, member: str, *, tar: bool) -> dict[str, Any]:
    """``members``, names and sizes; where a member is named its first bytes too, as Latin-1."""
    budget = Budget(LIMITS.unpacked(length))
    names: list[tuple[str, int]] = []
    content: bytes | None = None
    if tar:
        stream = tars.Stream(file, length, budget)

        def kept(name: str) -> int | None:
            return LIMITS.metadata if name == member else None

        for one in tars.walk(stream, LIMITS, kept):
            if one.kind == tars.REGULAR:
                names.append((one.name, one.size))
                content = one.content if one.name == member else content
    else:
        directory = read_directory(file, length, LIMITS, strict=False)
        for entry in directory.entries:
            if not entry.directory:
                names.append((entry.name, entry.size))
            if entry.name == member and not entry.directory:
                content = _first(zip_members.read(file, entry, budget))
    shown = None if content is None else content[:TEXT].decode("latin-1")
    return {"members": names, "content": shown}


def _first(source: Any) -> bytes:
    found = bytearray()
    for chunk in source:
        found += chunk
        if len(found) > TEXT:
            break
    return bytes(found)


if __name__ == "__main__":
    main()
