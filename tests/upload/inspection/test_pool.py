"""The pool: warm children, limits, deaths, cancellation, the queue."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from app import errors
from app.models import Kind
from app.upload.archives.limits import Limits
from app.upload.inspection import Inspection, Inspectors, inspectors
from app.upload.profile import Profile
from tests.factories import Made, make_wheel
from tests.hostile.wheels import FILENAME, wheel
from tests.hostile.zips import deflate_repeated, deflate_zeros
from tests.upload.inspection.processes import children, is_running, status

MIB = 1 << 20


def spool(tmp_path: Path, made: Made) -> Path:
    """The wheel as a file."""
    path = tmp_path / "spooled"
    path.write_bytes(made.content)
    return path


async def read(pool: Inspectors, path: Path, filename: str) -> Inspection:
    """A strict inspection of a wheel."""
    return await pool.inspect(path, filename=filename, kind=Kind.WHEEL, profile="strict")


def big_wheel(path: Path, mebibytes: int) -> None:
    """A wheel with one module of so many MiB, two thirds of which are noise."""
    block = os.urandom(2 * MIB // 3) + bytes(MIB - 2 * MIB // 3)
    name, content = "evil/weights.bin", block * mebibytes
    stream = deflate_repeated(block, mebibytes)
    path.write_bytes(wheel({name: content}, tweaks={name: {"stream": stream}}))


def slow_wheel(path: Path) -> Mapping[Profile, Limits]:
    """A wheel of seconds of work, and limits that let it pass as no bomb."""
    name = "evil/zeros"
    tweak = {"stream": deflate_zeros(4095), "both": {"size": 4095 * MIB}}
    path.write_bytes(wheel({name: b""}, tweaks={name: tweak}))
    return {"strict": Limits(free=1 << 40)}


async def test_children_stay_the_same(pool: Inspectors, tmp_path: Path) -> None:
    """A hundred inspections at once are done by the two children there are."""
    made = make_wheel()
    path = spool(tmp_path, made)
    pids = pool.pids
    found = await asyncio.gather(*(read(pool, path, made.filename) for _ in range(100)))
    assert len(set(found)) == 1
    assert pool.pids == pids
    assert len(pids) == 2


async def test_children_give_up_what_they_can(pool: Inspectors) -> None:
    """Before the first byte a child has limits, no privileges to gain, and filtered calls."""
    for pid in pool.pids:
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert "Max address space         201326592" in limits
        assert "Max file size             0" in limits
        assert "Max open files            16" in limits
        assert status(pid, "NoNewPrivs") == 1
        assert status(pid, "Seccomp") == 2
        assert status(pid, "VmRSS") < 20 << 10
        assert Path(f"/proc/{pid}/environ").read_bytes() == b""


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.socket()",
        "import os; os.fork()",
        "import os; os.execv('/bin/true', ['true'])",
        "open(PATH, 'w')",
        "import os; os.unlink(PATH)",
        "import os; os.kill(os.getppid(), 0)",
        "import resource, os; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)",
        "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_EXEC | mmap.PROT_WRITE)",
    ],
)
def test_the_sandbox_refuses(attempt: str, tmp_path: Path) -> None:
    """No sockets, processes, writing, signals or new code once a child has locked itself down."""
    path = tmp_path / "precious"
    path.write_text("kept")
    program = (
        f"import os, socket, resource, mmap; PATH = {str(path)!r}\n"
        "from app.upload.archives.sandbox import lock_down\n"
        f"assert lock_down({256 * MIB}, os.getppid()) == []\n"
        f"assert open(PATH).read() == 'kept'\n"
        f"try:\n    {attempt}\nexcept PermissionError:\n    os.write(1, b'refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30)
    assert (done.stdout, done.stderr, done.returncode) == (b"refused", b"", 0)
    assert path.read_text() == "kept"


async def test_killed_children_are_replaced(pool: Inspectors, tmp_path: Path) -> None:
    """``kill -9`` of every child, again and again, costs nobody an answer."""
    made = make_wheel()
    path = spool(tmp_path, made)
    for _ in range(3):
        before = pool.pids
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        found = await asyncio.gather(*(read(pool, path, made.filename) for _ in range(10)))
        assert {inspection.members for inspection in found} == {4}
        assert not pool.pids & before


async def test_a_child_killed_at_work_is_replaced(tmp_path: Path) -> None:
    """The file that a killed child was reading is read by the next one."""
    path = tmp_path / FILENAME
    big_wheel(path, 64)
    async with inspectors(count=1) as pool:
        (pid,) = pool.pids
        reading = asyncio.create_task(read(pool, path, path.name))
        await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        assert (await reading).unpacked > 64 * MIB
        assert pid not in pool.pids


async def test_a_file_that_kills_its_children_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever dies twice over one file does so for a reason, and the file is to blame."""
    path = tmp_path / FILENAME
    big_wheel(path, 64)
    async with inspectors(count=1) as pool:
        reading = asyncio.create_task(read(pool, path, path.name))
        while not reading.done():
            for pid in pool.pids:
                if is_running(pid):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.01)
        with pytest.raises(errors.InvalidUpload, match="died, more than once"):
            await reading
    assert "died while it inspected" in caplog.text


async def test_time_is_limited(tmp_path: Path) -> None:
    """What takes more CPU time, or more time by the clock, than it may is refused."""
    path = tmp_path / FILENAME
    limits = slow_wheel(path)
    made = make_wheel()
    good = spool(tmp_path, made)
    async with inspectors(count=1, cpu=0, cpu_per_mib=0, limits=limits) as pool:
        with pytest.raises(errors.InvalidUpload, match="too much time"):
            await read(pool, path, path.name)
        assert (await read(pool, good, made.filename)).members == 4
    async with inspectors(count=1, cpu_per_mib=0, cpu=0.01, grace=0.1, limits=limits) as pool:
        with pytest.raises(errors.InvalidUpload, match="takes too long"):
            await read(pool, path, path.name)
        assert (await read(pool, good, made.filename)).members == 4


async def test_a_child_that_ended_by_itself_is_not_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To kill it would take away what it ended with from the thread that waits for that."""
    killed: list[int] = []
    kill = asyncio.subprocess.Process.kill

    def watched(process: asyncio.subprocess.Process) -> None:
        killed.append(process.pid)
        kill(process)

    monkeypatch.setattr(asyncio.subprocess.Process, "kill", watched)
    path = tmp_path / FILENAME
    limits = slow_wheel(path)
    async with inspectors(count=1, cpu=0, cpu_per_mib=0, limits=limits) as pool:
        (pid,) = pool.pids
        with pytest.raises(errors.InvalidUpload, match="too much time"):
            await read(pool, path, path.name)
    assert pid not in killed


async def test_memory_is_limited(tmp_path: Path) -> None:
    """An archive that takes more memory than there is is refused, and the next one read."""
    made = make_wheel(description="x" * (20 * MIB))
    path = spool(tmp_path, made)
    small = make_wheel()
    limits: Mapping[Profile, Limits] = {"strict": Limits(metadata=64 * MIB)}
    async with inspectors(count=1, memory=40 * MIB, limits=limits) as pool:
        with pytest.raises(errors.InvalidUpload, match="too much memory"):
            await read(pool, path, made.filename)
        good = spool(tmp_path, small)
        assert (await read(pool, good, small.filename)).members == 4


async def test_a_big_wheel_takes_no_more_memory(tmp_path: Path) -> None:
    """200 MB are read in the same memory as a kilobyte."""
    path = tmp_path / FILENAME
    big_wheel(path, 200)
    async with inspectors(count=1) as pool:
        (pid,) = pool.pids
        before = status(pid, "VmHWM")
        found = await read(pool, path, path.name)
        assert found.unpacked > 200 * MIB
        assert status(pid, "VmHWM") - before < 4 << 10


async def test_grown_children_are_replaced(tmp_path: Path) -> None:
    """A hundred thousand members fit into the memory of a child, which is then replaced."""
    path = tmp_path / FILENAME
    members = {f"evil/some/longer/path/m{number:06}.py": b"x" for number in range(99_990)}
    path.write_bytes(wheel(members, zip64={}, here=0xFFFF, count=0xFFFF))
    async with inspectors(count=1) as pool:
        pids = pool.pids
        found = await pool.inspect(path, filename=FILENAME, kind=Kind.WHEEL, profile="import")
        assert found.members == 99_994
        assert not pool.pids & pids


async def test_cancelling_frees_the_child(tmp_path: Path) -> None:
    """Who is cancelled leaves no process at work, and the next one is served."""
    path = tmp_path / FILENAME
    big_wheel(path, 200)
    made = make_wheel()
    good = spool(tmp_path, made)
    async with inspectors(count=1) as pool:
        (pid,) = pool.pids
        reading = asyncio.create_task(read(pool, path, path.name))
        waiting = asyncio.create_task(read(pool, path, path.name))
        await asyncio.sleep(0.1)
        for task in (waiting, reading):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await read(pool, good, made.filename)).members == 4
        assert not is_running(pid)


async def test_the_queue_is_bounded(tmp_path: Path) -> None:
    """Who would wait behind too many is told to come again; the others are served."""
    made = make_wheel()
    path = spool(tmp_path, made)
    async with inspectors(count=1, queue=3) as pool:
        tasks = [asyncio.create_task(read(pool, path, made.filename)) for _ in range(10)]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    busy = [answer for answer in answers if isinstance(answer, errors.Busy)]
    served = [answer for answer in answers if isinstance(answer, Inspection)]
    assert len(busy) + len(served) == 10
    assert len(served) >= 4
    assert busy


async def test_nothing_stays_behind(tmp_path: Path) -> None:
    """When the pool is closed its children are gone, those of a moment ago too."""
    before = children()
    async with inspectors(count=2) as pool:
        pids = set(pool.pids)
        os.kill(min(pids), signal.SIGKILL)
        await asyncio.sleep(0.05)
    assert not {pid for pid in pids | children() if pid not in before and is_running(pid)}


def test_children_die_with_their_parent(tmp_path: Path) -> None:
    """After ``kill -9`` of the server no child lives on."""
    program = (
        "import asyncio\nfrom app.upload.inspection import inspectors\n"
        "async def main():\n    async with inspectors(count=2) as pool:\n"
        "        print(*pool.pids, flush=True)\n        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    for _ in range(200):
        if not any(is_running(pid) for pid in pids):
            break
        signal.sigtimedwait([], 0.01)
    assert len(pids) == 2
    assert not any(is_running(pid) for pid in pids)


async def test_missing_files_are_not_the_archives_fault(
    pool: Inspectors, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """A spooled file that is not there is an error of ours, not a bad upload."""
    with caplog.at_level(logging.ERROR), pytest.raises(FileNotFoundError):
        await read(pool, tmp_path / "nothing", FILENAME)
