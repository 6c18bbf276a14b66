"""What the folder promises about power cuts, failing disks and killed processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.storage.file import connect
from app.testing.storage import content, listed, put
from tests.storage.steps import WHOLE
from tests.storage.tracing import Disk, Traced, trace

KEY = "blobs/project/01ABC/file.whl"
BEFORE = b"before"


def check_flushes(folder: Path, steps: list[str], traced: Traced) -> None:
    """No key is to be seen before its bytes are flushed; no step answers before its name is."""
    assert traced.returncode == 0, traced.complaint
    disk = Disk()
    answered = 0
    for call in traced.calls:
        disk.replay(call)
        placed = call.name.startswith(("link", "rename")) and not call.failed
        if placed and "/.tmp/" not in call.paths[-1]:
            assert disk.whole(call.paths[-1]), call
        if call.name == "writev":
            word, _, key = steps[answered].partition(":")
            if word in ("create", "put", "keep"):
                assert disk.whole(f"{folder}/{key}"), steps[answered]
                assert disk.named(f"{folder}/{key}"), steps[answered]
            answered += 1
    assert answered == len(steps)


@pytest.mark.parametrize(
    "steps",
    [
        ["create:top"],
        ["put:top"],
        [f"create:{KEY}"],
        [f"put:{KEY}"],
        [f"put:{KEY}", f"put:{KEY}", f"create:{KEY}"],
        ["keep:top"],
        [f"keep:{KEY}", f"put:{KEY}", f"keep:{KEY}", f"create:{KEY}"],
        [
            *["create:pending/hour/1", f"put:{KEY}", f"put:{KEY}.metadata"],
            *["create:journal/project/@project/1", "create:journal/project/file.whl/1"],
            *["delete:pending/hour/1", "create:pending/hour/2"],
        ],
        ["create:a/b/1", "delete:a/b/1", "put:a/b/2", "delete:a/b/2", "create:a/c/1"],
        ["create:a/b/1", "foreign:a/b", "create:a/b/2"],
        ["put:a/b/c/1", "foreign:a/b", "put:a/b/c/2", "put:a/b/c/3"],
        ["foreign:a/b/c", "create:a/b/c/1"],
    ],
    ids=" ".join,
)
def test_flushed_before_seen_and_answered(tmp_path: Path, steps: list[str]) -> None:
    """Bytes are flushed before their key is seen, names and new folders before success."""
    folder = tmp_path / "new" / "storage"
    folder.parent.mkdir()
    check_flushes(folder, steps, trace(folder, *steps))


def test_loser_flushes_what_it_relies_on(tmp_path: Path) -> None:
    """A create that finds its key flushes the names above before it says so."""
    folder = tmp_path / "storage"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "1").write_bytes(WHOLE)
    traced = trace(folder, "create:a/b/1")
    assert traced.answers == ["False"]
    flushed = {path for call in traced.calls if call.name == "fsync" for path in call.paths}
    assert {str(folder), f"{folder}/a", f"{folder}/a/b"} <= flushed


def test_a_warm_upload_flushes_no_more_than_needed(tmp_path: Path) -> None:
    """Of a known folder nothing is flushed but the file and its name; of a new one its name."""
    folder = tmp_path / "storage"
    traced = trace(folder, "create:a/b/1", "create:a/b/2", "put:a/b/3", "create:a/c/1")
    flushes: list[list[str]] = [[]]
    for call in traced.calls:
        if call.name == "writev":
            flushes.append([])
        elif call.name == "fsync":
            path = os.path.relpath(call.paths[0], folder)
            flushes[-1].append("bytes" if path.startswith(".tmp/") else path)
    assert flushes[1:4] == [["bytes", "a/b"], ["bytes", "a/b"], ["bytes", "a", "a/c"]]


@pytest.mark.parametrize(
    ("failure", "before"),
    [
        ("mkdirat:error=ENOSPC:when=1", None),
        ("mkdirat:error=EACCES:when=3", None),
        *[(f"fsync:error=EIO:when={n}", None) for n in range(1, 6)],
        *[(f"fsync:error=EIO:when={n}", BEFORE) for n in range(1, 6)],
        *[("write:error=ENOSPC:when=1", before) for before in (None, BEFORE)],
        *[("write:error=EDQUOT:when=2", before) for before in (None, BEFORE)],
        *[("linkat:error=EIO:when=3", before) for before in (None, BEFORE)],
        *[("renameat:error=EIO:when=1", before) for before in (None, BEFORE)],
    ],
)
async def test_put_on_a_failing_disk(tmp_path: Path, failure: str, before: bytes | None) -> None:
    """Wherever the disk fails a put, it says so, and the key is as before."""
    await fails(tmp_path, "put", failure, before)


@pytest.mark.parametrize("before", [None, BEFORE])
@pytest.mark.parametrize(
    "failure", ["renameat:error=EIO:when=2", *(f"fsync:error=EIO:when={n}" for n in (1, 2, 5))]
)
async def test_a_whole_file_on_a_failing_disk(
    tmp_path: Path, failure: str, before: bytes | None
) -> None:
    """Where it was taken over, but does not get its key, the same holds."""
    await fails(tmp_path, "keep", failure, before)


async def fails(tmp_path: Path, step: str, failure: str, before: bytes | None) -> None:
    """The step fails, and nothing was changed or is left."""
    folder = tmp_path / "storage"
    async with connect(f"file:{folder}", {}) as storage:
        if before is not None:
            await put(storage, KEY, before)
    traced = trace(folder, f"{step}:{KEY}", inject=failure)
    [answer] = traced.answers
    assert answer.startswith("The storage folder cannot be used: ")
    assert str(tmp_path) not in answer
    async with connect(f"file:{folder}", {}) as storage:
        if before is None:
            assert await listed(storage) == []
        else:
            assert await content(storage, KEY) == before
    assert list((folder / ".tmp").iterdir()) == []


@pytest.mark.parametrize("failure", ["linkat:error=EXDEV:when=3", "renameat:error=EIO:when=1"])
async def test_a_whole_file_that_cannot_be_taken_over_is_copied(
    tmp_path: Path, failure: str
) -> None:
    """It may lie on another file system, or its folder may take no second name."""
    folder = tmp_path / "storage"
    assert trace(folder, f"keep:{KEY}", inject=failure).answers == ["done"]
    async with connect(f"file:{folder}", {}) as storage:
        assert await content(storage, KEY) == WHOLE
    assert list((folder / ".tmp").iterdir()) == []


@pytest.mark.parametrize(
    "failure",
    [
        *["write:error=ENOSPC:when=1", "mkdirat:error=ENOSPC:when=2", "linkat:error=EIO:when=3"],
        *[f"fsync:error=EIO:when={n}" for n in range(1, 5)],
    ],
)
async def test_create_on_a_failing_disk(tmp_path: Path, failure: str) -> None:
    """Where the disk fails a create before the key is seen, it is never seen."""
    folder = tmp_path / "storage"
    async with connect(f"file:{folder}", {}):
        pass
    [answer] = trace(folder, f"create:{KEY}", inject=failure).answers
    assert answer.startswith("The storage folder cannot be used: ")
    async with connect(f"file:{folder}", {}) as storage:
        assert await listed(storage) == []
        assert await storage.create(KEY, WHOLE)
    assert list((folder / ".tmp").iterdir()) == []


async def test_create_whose_name_cannot_be_flushed(tmp_path: Path) -> None:
    """A key that others may have seen stays, whole, though its create failed."""
    folder = tmp_path / "storage"
    async with connect(f"file:{folder}", {}):
        pass
    traced = trace(folder, f"create:{KEY}", f"create:{KEY}", inject="fsync:error=EIO:when=5")
    assert traced.answers == ["The storage folder cannot be used: Input/output error", "False"]
    async with connect(f"file:{folder}", {}) as storage:
        assert await content(storage, KEY) == WHOLE


@pytest.mark.parametrize("before", [None, BEFORE])
async def test_a_disk_that_hangs(tmp_path: Path, before: bytes | None) -> None:
    """A put that the disk does not answer in time fails, and does not come true later."""
    folder = tmp_path / "storage"
    async with connect(f"file:{folder}", {}) as storage:
        if before is not None:
            await put(storage, KEY, before)
    hang = "renameat:delay_enter=600000"
    traced = trace(folder, f"put:{KEY}", inject=hang, timeout=0.2)
    assert traced.answers == ["The storage folder did not answer within 0.2 seconds"]
    async with connect(f"file:{folder}", {}) as storage:
        if before is None:
            assert await listed(storage) == []
        else:
            assert await content(storage, KEY) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "gives_the_name"), [("create", "linkat"), ("put", "renameat"), ("keep", "renameat")]
)
async def test_killed_at_every_call(tmp_path: Path, step: str, gives_the_name: str) -> None:
    """Killed before any of its system calls, a writer leaves the key whole or not at all."""
    folder = tmp_path / "untouched"
    calls = trace(folder, f"{step}:{KEY}").calls
    names = [call.name for call in calls]
    [given] = (
        turn
        for turn, call in enumerate(calls)
        if call.name == gives_the_name and call.paths[-1] == f"{folder}/{KEY}"
    )
    for turn, name in enumerate(names):
        folder = tmp_path / str(turn)
        when = names[: turn + 1].count(name)
        traced = trace(folder, f"{step}:{KEY}", inject=f"{name}:signal=KILL:when={when}")
        assert traced.returncode == -signal.SIGKILL
        assert traced.answers == []
        async with connect(f"file:{folder}", {}) as storage:
            found = await listed(storage)
            assert found == ([KEY] if turn > given else [])
            if found:
                assert await content(storage, KEY) == WHOLE
            assert await storage.create(KEY, BEFORE) is not bool(found)


async def test_killed_amid_a_put(tmp_path: Path) -> None:
    """A put whose process is killed leaves nothing but a temporary file, swept a day later."""
    folder = tmp_path / "storage"
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.storage.steps", folder, "{}", f"half:{KEY}"],
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    with writer, writer.stdout:
        assert writer.stdout.readline() == b"half\n"
        writer.kill()
    [leftover] = (folder / ".tmp").iterdir()

    async with connect(f"file:{folder}", {}) as storage:
        assert await listed(storage) == []
        assert await storage.head(KEY) is None
    assert leftover.exists(), "it may be that of a process at work"

    day = 24 * 60 * 60
    changed = leftover.stat().st_mtime
    os.utime(leftover, (changed, changed - day + 60))
    async with connect(f"file:{folder}", {}):
        assert leftover.exists()
    os.utime(leftover, (changed, changed - day - 60))
    async with connect(f"file:{folder}", {}):
        assert not leftover.exists()


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("linkat:error=EPERM", "Operation not permitted"),
        ("linkat:error=EOPNOTSUPP", "Operation not supported"),
        ("linkat:retval=0:when=2", "a second link to one name succeeded"),
    ],
)
def test_a_file_system_without_links(tmp_path: Path, failure: str, reason: str) -> None:
    """Where hard links do not work as they must, the storage is refused at the start."""
    traced = trace(tmp_path / "storage", f"create:{KEY}", inject=failure)
    assert traced.returncode == 1
    message = "The file system of the storage folder has no usable hard links"
    assert traced.complaint.strip() == f"{message} ({reason})"


async def test_a_full_disk_at_the_start(tmp_path: Path) -> None:
    """A disk too full for a file lets the storage start, so that it can be read."""
    folder = tmp_path / "storage"
    folder.mkdir()
    traced = trace(folder, f"create:{KEY}", "delete:x", inject="mkdirat:error=ENOSPC:when=1+")
    assert traced.answers == ["The storage folder cannot be used: No space left on device", "done"]
