"""``kill -9`` at every call of an upload, a yank and a delete: invariants 1 to 3.

A mutant that writes the event before the bytes fails ``test_kill_at_every_call``: restarted,
its page lists a file that is answered 500, the check finds no bytes, and so it stays, for
the upload that is tried again gets its 200. A copy of the sources with that mistake is
tried here each time.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.invariants.calls import Call
from tests.invariants.crashes import ACTS, TAIL, Act, Attempt, Upload, calls_of, kill_at
from tests.invariants.server import ROOT, Server
from tests.invariants.tracing import changes, traced

SEED = 20_261_124
WRITES, OTHERS = 4, 16
"""Of the calls that write bytes, and of all others, how many are tried: a soak tries all."""
LAST = 6
"""Of the others, how many at the end are always tried: some of them follow the answer."""
BEYOND = 40
"""How many more calls than counted there may be: threads take turns as they like.

They are tried until one does not come: those that follow the answer are among the last.
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

EVENTS = "packages/journal/next/next-"
MakeServer = Callable[..., Server]


def chosen(calls: list[Call], soak: bool) -> list[int]:
    """The points at which to kill, by number from 1."""
    beyond = range(len(calls) + 1, len(calls) + BEYOND)
    numbers = range(1, len(calls) + 1)
    if soak:
        return [*numbers, *beyond]
    writes = [number for number in numbers if calls[number - 1].writes]
    others = [number for number in numbers if not calls[number - 1].writes]
    others, last = others[:-LAST], others[-LAST:]
    chance = random.Random(SEED)
    return sorted(
        chance.sample(others, min(OTHERS, len(others)))
        + chance.sample(writes, min(WRITES, len(writes)))
        + last
        + [*beyond]
    )


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_kill_at_every_call(act: Act, soak: bool, make_server: MakeServer) -> None:
    """Killed before any call, nothing acknowledged is lost, all listed is whole, retries work."""
    servers = [make_server("even"), make_server("odd")]
    points = chosen(calls_of(servers[0], act), soak)

    def run(half: int) -> list[Attempt]:
        return kill_at(servers[half], act, points[half::2], seed=SEED + half)

    with ThreadPoolExecutor(2) as both:
        attempts = [attempt for half in both.map(run, range(2)) for attempt in half]
    killed = [attempt for attempt in attempts if attempt.call is not None]
    assert any(attempt.answered for attempt in killed)
    assert not all(attempt.answered for attempt in killed)
    # An act makes some calls fewer now and then: its threads find less to flush.
    assert len(killed) >= 0.75 * (len(points) - BEYOND) or soak


def test_every_call_that_changes_files_is_counted(make_server: MakeServer, tmp_path: Path) -> None:
    """``strace`` sees an upload make no call that is neither harmless nor counted, nor more."""
    server = make_server()
    server.start(watched=True)
    assert server.watch is not None
    with traced(server.pid, tmp_path / "trace") as trace:
        server.watch.arm()
        assert Upload("first").perform(server, 0).status_code == 200
        time.sleep(TAIL)
    counted = Counter(call.name for call in server.watch.calls)
    server.kill()
    assert changes(trace, server.state) == counted


def test_a_strange_marker_stops_nobody(make_server: MakeServer) -> None:
    """The reconciler heals a crash also where something else lies among the markers."""
    server = make_server()
    act = Upload("next")
    calls = calls_of(server, act)
    strange = server.state / "packages" / "pending" / "00000000T00" / "strange.json"
    strange.parent.mkdir()
    strange.write_text("{")
    # The event's folder is flushed after the event is there, and before the cache is told.
    flushed = max(n for n, call in enumerate(calls, 1) if call.where.startswith(EVENTS))
    first = flushed + 2 + flushed % 2  # even ones: no retry helps the reconciler
    attempts = kill_at(server, act, [first, first - 2, first + 2], seed=SEED)
    # Which call is which depends on the turns that threads take; one of them was meant.
    places = [attempt.call.where for attempt in attempts if attempt.call is not None]
    assert any(where.startswith((EVENTS, ".tmp/", "cache.db")) for where in places), attempts


FOUND = "listed, but answered|are missing|have no core metadata"
"""What is said of a listed file without its bytes, or without what is stored after them."""


def test_a_mutant_that_commits_too_early_is_found(make_server: MakeServer, tmp_path: Path) -> None:
    """Where the event is written before the bytes, a kill leaves a listed file without any."""
    tree = tmp_path / "mutant"
    shutil.copytree(ROOT / "app", tree / "app", ignore=shutil.ignore_patterns("__pycache__"))
    publish = tree / "app" / "index" / "publish.py"
    source = publish.read_text()
    bytes_first = "            await blobs.store(self._storage, blob, distribution, facts)\n"
    commit = "        record = await self._journal.append(event)\n"
    assert source.count(bytes_first) == source.count(commit) == 1
    bytes_last = f"{commit}        await blobs.store(self._storage, blob, distribution, facts)\n"
    publish.write_text(source.replace(bytes_first, "").replace(commit, bytes_last))
    server = make_server(tree=tree)
    act = Upload("next")
    calls = calls_of(server, act)
    placed = [
        number
        for number, call in enumerate(calls, 1)
        if call.name.startswith("rename") and call.where.endswith(".whl")
    ]
    assert placed
    with pytest.raises(AssertionError, match=FOUND):
        kill_at(server, act, placed, seed=SEED)
