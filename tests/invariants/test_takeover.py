"""Processes that reindex are killed: of all replicas one works, and another goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cache.memory import connect as connect_memory
from app.index import Index
from app.storage.base import read
from app.storage.memory import MemoryStorage
from tests.cache.conftest import execute
from tests.index.conftest import make
from tests.index.places import ALICE, Make
from tests.invariants import counted
from tests.invariants.onlooker import Onlooker
from tests.invariants.server import JSON, Server, get, manage
from tests.servers import postgresql, redis

__all__ = ["make"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SEED = 20
NAMES = [f"p{number:03d}" for number in range(45)]
REACHED, GATE = NAMES[19], NAMES[20]
"""How far a build comes whose way is barred; batches are of five."""
Empty = Callable[[], Any]


class Counting(Server):
    """A replica on a storage that says which events are read."""

    @property
    def environment(self) -> dict[str, str]:
        found = super().environment
        plugin = counted.install(self.state.parent / "plugin")
        return {**found, "PYTHONPATH": f"{found['PYTHONPATH']}:{plugin}"}


@asynccontextmanager
async def place(kind: str, folder: Path) -> AsyncIterator[tuple[str, Empty]]:
    """The URL of an empty cache, and how somebody empties it while it is used."""
    if kind == "postgresql":
        async with postgresql.database() as url:

            async def drop() -> None:
                await execute(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")

            yield url, drop
        return
    folder.mkdir()
    with redis.own_redis(folder) as server:

        async def flush() -> None:
            server.ask("FLUSHALL")

        yield server.url, flush


async def fill(folder: Path, make: Make, names: list[str], version: str = "1.0") -> None:
    """Publish into each of these projects; no cache that is seen again hears of it."""
    storage = MemoryStorage()
    for path in (folder / "journal").rglob("*.json"):
        await storage.create(str(path.relative_to(folder)), path.read_bytes())
    async with connect_memory("memory:", {}) as cache:
        index = Index(storage, cache)
        await index.reindex()
        for name in names:
            await index.publish(make(name, version), ALICE)
    # Not through the folder's storage, which would wait for the disk each time.
    async for stored in storage.scan():
        path = folder / stored.key
        if not path.exists() and not stored.key.startswith("leases/"):
            path.parent.mkdir(parents=True, exist_ok=True)
            half = folder.parent / "half"
            half.write_bytes(await read(storage, stored.key, limit=1 << 20))
            half.rename(path)


def progress(server: Server) -> dict[str, Any]:
    """What a replica says of the reindex; empty while it cannot."""
    answer = manage(server, "GET", "reindex")
    assert answer.status_code in (200, 503), answer.text
    found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
    return found


def ready(server: Server) -> None:
    """Wait until it is, however much else this machine has to do."""

    def is_ready() -> bool:
        assert server.running, server.log[-4000:]
        with suppress(httpx.TransportError):
            return get(f"{server.url}/health/ready").is_success
        return False

    until(is_ready)


def until(happened: Callable[[], Any], *, seconds: float = 240) -> Any:
    """Wait for it; what it is."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


def cursor(state: Path) -> str:
    """That of the newest lease there is."""
    leases = sorted((state / "packages/leases/reindex").glob("*/*.json"))
    for path in reversed(leases):
        try:
            found: str = json.loads(path.read_text())["progress"]["cursor"]
        except FileNotFoundError:
            continue
        return found
    return ""


def projects(lines: list[str]) -> set[str]:
    """Those whose events were read."""
    return {line.split("/")[1] for line in lines}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be ended in the end."""
    with ExitStack() as found:
        yield found


@pytest.mark.parametrize("kind", ["postgresql", "redis"])
async def test_three_replicas_find_the_cache_emptied(
    kind: str, tmp_path: Path, make: Make, stack: ExitStack
) -> None:
    """One builds, the others show it; killed with -9, it is followed by one that goes on."""
    state = tmp_path / "state"
    await fill(state / "packages", make, NAMES)
    async with place(kind, tmp_path / "cache") as (url, empty):
        start: Callable[..., Server] = Counting
        settings = {"STORAGE": f"counted:{state / 'packages'}", "CACHE": url}
        replicas = [start(tmp_path, **settings) for _ in range(3)]
        for replica in replicas:
            stack.callback(replica.close)
            replica.begin()
        for replica in replicas:
            ready(replica)
        found = counted.reads(state)
        total = sum((Counter(lines) for lines in found.values()), Counter[str]())
        assert set(total.values()) == {1}
        assert len(found) == 1
        onlookers = [Onlooker(one, NAMES, SEED + number) for number, one in enumerate(replicas)]
        for onlooker in onlookers:
            onlooker.start()
        until(lambda: all(onlooker.answers for onlooker in onlookers))
        for path in state.glob("reads-*"):
            path.unlink()

        gate = counted.shut(state, GATE)
        await empty()
        under_way = until(lambda: running(replicas))
        pid = int(under_way["holder"].rpartition(":")[2])
        others = [replica for replica in replicas if replica.pid != pid]
        assert len(others) == 2
        for replica in others:
            joined = manage(replica, "POST", "reindex")
            assert joined.status_code == 202
            assert joined.json()["holder"] == under_way["holder"]
            assert joined.json()["kind"] == "build"
        until(lambda: cursor(state) == REACHED)
        holder = next(replica for replica in replicas if replica.pid == pid)
        holder.kill()
        before = time.monotonic()
        assert not get(f"{others[0].url}/health/ready").is_success
        gate.unlink()
        for replica in others:
            ready(replica)
        print(f"{kind}: ready {time.monotonic() - before:.1f} s after the kill, from {REACHED}")

        found = counted.reads(state)
        lost = found.pop(pid)
        assert projects(lost) == {name for name in NAMES if name <= REACHED}
        taker = max(found, key=lambda one: len(found[one]))
        # A replica that had no time to look may have learned only then that the cache had lost
        # what it had; it is compared once more after it was built, with whatever is read for that.
        rest = [name for name in NAMES if name > REACHED]
        built = found[taker][: len(lost) * len(rest) // len(projects(lost))]
        assert projects(built) == set(rest)
        assert set(Counter(built).values()) == {1}
        for replica in others:
            done = until(partial(over, replica))
            assert (done["state"], done["projects"]) == ("done", len(NAMES))
            root = get(f"{replica.url}/simple/", Accept=JSON).json()["projects"]
            assert [line["name"] for line in root] == NAMES
        for onlooker in onlookers:
            onlooker.finish()
        for replica in replicas:
            assert "Traceback" not in replica.log


def running(replicas: list[Server]) -> dict[str, Any] | None:
    """The run that all of them show; None until they agree."""
    shown = [progress(replica) for replica in replicas]
    runs = {(one.get("holder"), one.get("running"), one.get("kind")) for one in shown}
    agreed = len(runs) == 1 and shown[0].get("running") and shown[0]["kind"] == "build"
    return shown[0] if agreed else None


def over(replica: Server) -> dict[str, Any] | None:
    """The run that it shows, once it is over."""
    shown = progress(replica)
    return None if not shown or shown["running"] else shown


async def test_reindexes_are_killed_beside_readers(
    tmp_path: Path, make: Make, soak: bool, stack: ExitStack
) -> None:
    """Whichever call it dies at: the root never shrinks, pages are whole, the end is right.

    In turn the cache is emptied, and lacks what it was never told.
    """
    state = tmp_path / "state"
    await fill(state / "packages", make, NAMES[:30])
    server, command = Server(tmp_path), Server(tmp_path)
    for one in (server, command):
        stack.callback(one.close)
    server.begin()
    ready(server)
    calls = counting_calls(command, state)
    chance = random.Random(SEED)
    onlookers = [Onlooker(server, NAMES[:30], SEED + number) for number in range(2)]
    for onlooker in onlookers:
        onlooker.start()
    for turn in range(20 if soak else 6):
        emptied = turn % 2 == 0
        if emptied:
            empty(state)
        else:
            # The service goes on with it; nobody tells the cache.
            await fill(state / "packages", make, NAMES[:30:3], f"2.{turn}")
        watch = command.begin_watched("reindex")
        watch.arm(chance.randint(1, calls))
        watch.start()
        command.wait()
        ready(server)
        if not emptied:
            until(partial(told, server, command, f"2.{turn}"))
        names = get(f"{server.url}/simple/", Accept=JSON).json()["projects"]
        assert [line["name"] for line in names] == NAMES[:30]
    for onlooker in onlookers:
        onlooker.finish()
    server.stop()
    server.check()


def counting_calls(command: Server, state: Path) -> int:
    """How many calls a whole build takes, of which each may be the last."""
    empty(state)
    watch = command.begin_watched("reindex")
    watch.arm(None)
    watch.start()
    assert command.wait() == 0
    return len(watch.calls)


def empty(state: Path) -> None:
    """Have the cache forget all, as somebody else's hand would."""
    with sqlite3.connect(state / "cache.db", timeout=60) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in names.fetchall():
            if "_projects_" in name or "_files_" in name:
                connection.execute(f'DELETE FROM "{name}"')
        connection.execute("UPDATE pypicloud_cache_layouts SET built = 0")
    connection.close()


def shows(server: Server, version: str) -> bool:
    """Whether the last of the projects has this version."""
    answer = get(f"{server.url}/simple/{NAMES[27]}/", Accept=JSON)
    return answer.status_code == 200 and version in answer.text


def told(server: Server, command: Server, version: str) -> bool:
    """The same, with a reindex that nobody kills: the other may have died before its lease."""
    if not shows(server, version):
        assert command.command("reindex").returncode == 0
    return shows(server, version)


async def test_a_holder_that_freezes_is_followed(
    tmp_path: Path, make: Make, stack: ExitStack
) -> None:
    """Within the life of a lease; woken up, it finds another in its place and gives up."""
    state = tmp_path / "state"
    await fill(state / "packages", make, NAMES)
    start: Callable[..., Server] = Counting
    settings = {"STORAGE": f"counted:{state / 'packages'}"}
    server, other = (start(tmp_path, **settings) for _ in range(2))
    for one in (server, other):
        stack.callback(one.close)
    gate = counted.shut(state, GATE)
    server.begin()
    until(lambda: cursor(state) == REACHED)
    send(server, signal.SIGSTOP)
    try:
        gate.unlink()
        before = time.monotonic()
        other.begin()
        ready(other)
        took = time.monotonic() - before
        assert took >= 8
    finally:
        send(server, signal.SIGCONT)
    ready(server)
    found = counted.reads(state)
    assert projects(found[other.pid]) == {name for name in NAMES if name > REACHED}
    done = until(lambda: over(server))
    assert done["holder"].endswith(f":{other.pid}")
    assert len(get(f"{server.url}/simple/", Accept=JSON).json()["projects"]) == len(NAMES)


def send(server: Server, number: int) -> None:
    """A signal to this one process; one that is stopped stands still after it."""
    os.kill(server.pid, number)
    if number == signal.SIGSTOP:
        stat = Path(f"/proc/{server.pid}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
