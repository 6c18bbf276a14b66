"""Steps under strace, and a disk that keeps only what was flushed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

WATCHED = (
    "write,writev,fsync,fdatasync,link,linkat,rename,renameat,renameat2,"
    "mkdir,mkdirat,unlink,unlinkat,rmdir"
)
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
_FD = r"(?:\w+<([^>]*)>, )?"
_NAME = r'"([^"]*)"'


@dataclass(frozen=True)
class Call:
    """A system call, and the absolute paths that it names."""

    name: str
    paths: tuple[str, ...]
    failed: bool


@dataclass(frozen=True)
class Traced:
    """How a process of steps ended, what it answered, and what it called."""

    returncode: int
    answers: list[str]
    complaint: str
    calls: list[Call]


def trace(
    folder: Path, *steps: str, inject: str | None = None, timeout: float | None = None
) -> Traced:
    """Take steps in a folder under strace, in one thread; ``inject`` as strace has it."""
    strace = shutil.which("strace")
    assert strace, "these tests need strace"
    log = folder.parent / "trace"
    options = {"threads": 1} | ({} if timeout is None else {"timeout": timeout})
    # strace 6.1 counts wrongly for "when" where it filters by seccomp, which is faster.
    watching = ["--seccomp-bpf"] if inject is None else ["-e", f"inject={inject}"]
    command = [strace, "-f", "-y", "-qq", "-o", str(log), "-e", f"trace={WATCHED}", *watching]
    command += [sys.executable, "-m", "tests.storage.steps", str(folder), json.dumps(options)]
    process = subprocess.run(
        [*command, *steps], capture_output=True, text=True, check=False, timeout=60
    )
    calls = list(_parsed(log.read_text()))
    return Traced(process.returncode, process.stdout.splitlines(), process.stderr, calls)


def _parsed(log: str) -> Iterator[Call]:
    begun: dict[str, str] = {}
    for line in log.splitlines():
        pid, _, text = line.partition(" ")
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>").rstrip()
            continue
        if resumed := re.match(r"\s*<\.\.\. \w+ resumed>(.*)", text):
            text = begun.pop(pid) + resumed[1]
        if call := _CALL.match(text.strip()):
            yield Call(call[1], tuple(_paths(call[1], call[2])), call[3].startswith("-"))


def _paths(name: str, arguments: str) -> Iterator[str]:
    if name in ("write", "writev", "fsync", "fdatasync"):
        yield re.match(r"\d+<([^>]*)>", arguments)[1]  # type: ignore[index]  # -y says it
        return
    for folder, path in re.findall(_FD + _NAME, arguments):
        yield str(Path(folder, path))


@dataclass
class Disk:
    """What a power cut would leave: bytes and names that were flushed, and nothing else."""

    files: dict[str, int] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)
    unflushed: set[str] = field(default_factory=set)
    """Names that were made or changed since their folder was flushed."""
    fresh: Iterator[int] = field(default_factory=count)

    def replay(self, call: Call) -> None:
        """Do what the call did."""
        if call.failed:
            return
        first, last = call.paths[0], call.paths[-1]
        if call.name in ("write", "writev"):
            self.dirty.add(self._file(first))
        elif call.name in ("fsync", "fdatasync"):
            self.dirty.discard(self._file(first))
            self.unflushed = {name for name in self.unflushed if str(Path(name).parent) != first}
        elif call.name.startswith("mkdir"):
            self.unflushed.add(first)
        elif call.name.startswith(("link", "rename")):
            self.files[last] = self._file(first)
            self.unflushed.add(last)
            if call.name.startswith("rename"):
                del self.files[first]
        else:
            self.files.pop(first, None)
            self.unflushed.discard(first)

    def whole(self, path: str) -> bool:
        """Whether the bytes at the path were flushed after they were written."""
        return path in self.files and self.files[path] not in self.dirty

    def named(self, path: str) -> bool:
        """Whether the path's name was flushed, and those of all folders above it."""
        return self.unflushed.isdisjoint({path, *map(str, Path(path).parents)})

    def _file(self, path: str) -> int:
        return self.files.setdefault(path, next(self.fresh))
