"""What the kernel says of a process."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def status(pid: int, field: str) -> int:
    """A number of ``/proc/PID/status``; sizes are KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == field:
            return int(value.split()[0])
    raise KeyError(field)


def is_running(pid: int) -> bool:
    """Whether the process is there, and no zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in ("Z", "X")


def children() -> set[int]:
    """The processes that this one started."""
    found: set[int] = set()
    for thread in Path(f"/proc/{os.getpid()}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            found |= set(map(int, (thread / "children").read_text().split()))
    return found
