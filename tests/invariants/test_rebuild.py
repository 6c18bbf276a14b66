"""The cache is lost, or repaired beside live traffic: invariants 4 and 6."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import httpx
import pytest

from tests.invariants.crashes import REASON, TAIL
from tests.invariants.filling import FLAGSHIP, Page, ask, fill, pages, publish
from tests.invariants.reader import Reader
from tests.invariants.server import JSON, Server, get, listed, manage

SEED = 4
POINTS = 20
"""At how many of its calls a reindex is killed; with ``--soak`` at each."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MakeServer = Callable[..., Server]
Pages = dict[tuple[str, str], Page]


def same(before: Pages, after: Pages) -> None:
    """Every page is byte for byte what it was, and its ETag and serial too."""
    changed = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
    assert not changed, changed


def serial(server: Server) -> int:
    """The serial of the root page."""
    return int(get(f"{server.url}/simple/", Accept=JSON).headers["x-pypi-last-serial"])


def test_pages_come_back(make_server: MakeServer) -> None:
    """After the cache was lost every page is byte-equal, and serials go on above the old ones."""
    server = make_server()
    server.start()
    fill(server)
    before = pages(server)
    assert sum(page.status == 200 for page in before.values()) > 80
    highest = manage(server, "GET", "changes?after=0").json()["serial"]

    server.stop()
    server.lose_cache()
    server.start()
    same(before, pages(server))

    server.kill()
    server.lose_cache()
    done = server.command("reindex")
    assert done.returncode == 0, done.stderr
    server.start()
    same(before, pages(server))

    publish(server, FLAGSHIP, "3.0")
    ask(server, "PATCH", "plain/releases/1.1", {"yanked": REASON})
    assert serial(server) > highest
    before = pages(server)
    time.sleep(TAIL)  # serials are noted within a second
    server.kill()
    server.lose_cache()
    server.start()
    same(before, pages(server))
    server.stop()
    server.check()


def test_serials_not_noted_are_new(make_server: MakeServer) -> None:
    """Killed before it noted the serial of its latest change, it gives a greater one: no lie."""
    server = make_server()
    server.start()
    publish(server, FLAGSHIP, "1.0")
    time.sleep(TAIL)
    publish(server, FLAGSHIP, "1.1")
    server.kill()
    url = f"{server.url}/simple/demo-pkg/"
    server.start()
    before = get(url, Accept=JSON)
    server.kill()
    server.lose_cache()
    server.start()
    after = get(url, Accept=JSON)
    assert after.json()["files"] == before.json()["files"]
    assert int(after.headers["x-pypi-last-serial"]) > int(before.headers["x-pypi-last-serial"])
    server.stop()


class Roots(threading.Thread):
    """Reads the root, which must never lose a name."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self.over = threading.Event()
        self.lost: set[str] = set()
        self.looks = 0

    def run(self) -> None:
        seen: set[str] = set()
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not self.over.is_set():
                answer = client.get(f"{self._server.url}/simple/", headers={"Accept": JSON})
                names = {project["name"] for project in answer.json().get("projects", ())}
                self.lost |= seen - names
                seen |= names
                self.looks += 1
                time.sleep(0.02)


def test_reindex_beside_traffic(make_server: MakeServer, soak: bool) -> None:
    """While ``reindex`` runs again and again no page loses a file and the root no project."""
    server = make_server()
    server.start()
    fill(server)
    readers = [Reader(server, SEED + number, pause=0.02) for number in range(2)]
    for number in range(12):
        for version in ("1.0", "1.1"):
            publish(server, f"busy-{number}", version)
        for reader in readers:
            reader.follow(f"busy-{number}")
    roots = Roots(server)
    for thread in (*readers, roots):
        thread.start()
    for number in range(50 if soak else 5):
        running = subprocess.Popen(
            server.argv("reindex"), env=server.environment, stdout=subprocess.DEVNULL
        )
        assert manage(server, "POST", "reindex").status_code == 202
        uploads = 0
        while running.poll() is None:
            made = publish(server, "busy-11", f"{2 + number}.{uploads}")
            assert made.filename in listed(server, "busy-11")
            uploads += 1
        assert running.returncode == 0
        assert uploads
    roots.over.set()
    roots.join(timeout=60)
    assert not roots.lost
    assert roots.looks
    for reader in readers:
        reader.finish()
    server.stop()
    server.check()


def test_reindex_killed(make_server: MakeServer, soak: bool) -> None:
    """A rebuild killed at any call goes on after it: half an index is never served."""
    server = make_server()
    server.start()
    fill(server)
    before = pages(server)
    server.stop()
    calls = rebuild(server, None)
    points = list(range(1, calls + 1))
    if not soak:
        points = sorted(random.Random(SEED).sample(points, POINTS))
    for number, point in enumerate(points):
        rebuild(server, point)
        if number % 2:
            assert server.command("reindex").returncode == 0
        server.begin_watched("serve").start()
        whole_or_not_ready(server, before)
        same(before, pages(server))
        server.kill()
    server.check()


def rebuild(server: Server, last: int | None) -> int:
    """Lose the cache and rebuild it; how many calls that took. Killed before call ``last``."""
    server.lose_cache()
    watch = server.begin_watched("reindex")
    watch.arm(last)
    watch.start()
    code = server.wait()
    assert watch.killed.is_set() or code == 0
    return len(watch.calls)


def whole_or_not_ready(server: Server, before: Pages) -> None:
    """Until it is ready, the server says so, or answers what it always answered."""
    root = before["/simple/", JSON]
    while True:
        with suppress(httpx.TransportError):
            ready = get(f"{server.url}/health/ready").status_code == 200
            answer = get(f"{server.url}/simple/", Accept=JSON)
            assert answer.status_code == 503 or answer.content == root.body
            if ready:
                return
        assert server.running
        time.sleep(0.005)
