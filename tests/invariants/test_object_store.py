"""An object store that fails in every way, servers that are killed: invariants 1 to 4."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from tests.factories import Made, make_wheel
from tests.invariants.crashes import REASON, TAIL, Act, Upload
from tests.invariants.filling import FLAGSHIP, ask, fill, pages, publish
from tests.invariants.sea import (
    KillAt,
    PatientReader,
    Sea,
    files,
    require_whole,
    storm,
    until_answered,
    uploaded,
)
from tests.invariants.server import Server, manage
from tests.servers.plans import Fault, nothing

SEED = 20_261_124
RATE = 0.12
"""How many of all requests to the store go wrong."""
CLIENTS = 4
LARGE = 9 * 2**20
"""Bytes of a wheel that goes to the store in parts."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

MakeServer = Callable[..., Server]


@dataclass(frozen=True, slots=True)
class Entry:
    """One upload. ``rivals`` is how many others have the same filename and other bytes."""

    made: Made
    project: str
    version: str
    rivals: int


def entries(seed: int, count: int) -> list[Entry]:
    """Uploads of a few projects, in an order of their own; some race, some come twice."""
    chance = random.Random(seed)
    made: list[Entry] = []
    for number in range(count):
        project, version = f"storm-{number % 4}", f"1.{number}"
        rivals = chance.choice([0, 0, 0, 1, 2])
        for rival in range(rivals + 1):
            noise = random.Random(number).randbytes(LARGE) if number % 10 == 3 else b""
            members = {"m.py": b"# %d" % rival, "noise.bin": noise}
            wheel = make_wheel(project, version, files=members)
            made += [Entry(wheel, project, version, rivals)] * chance.choice([1, 1, 2])
    # Rivals are sent at about the same time.
    return sorted(made, key=lambda entry: int(entry.version[2:]) + chance.uniform(0, 2))


class Storm:
    """Clients that send everything and then some, while servers are killed."""

    def __init__(self, servers: Sequence[Server], sent: Sequence[Entry], seed: int) -> None:
        self._servers = servers
        self._left = iter(enumerate(sent))
        self._lock = threading.Lock()
        self._seed = seed
        self.answers: dict[str, list[tuple[str, int]]] = defaultdict(list)
        """The sha256 and the status of every answer, by filename."""
        self.yanked: set[str] = set()

    def send(self) -> None:
        """Send what is left; one client's work."""
        while True:
            with self._lock:
                number, entry = next(self._left, (0, None))
            if entry is None:
                return
            seed = self._seed + number
            status = uploaded(self._servers, entry.made, entry.project, entry.version, seed)
            self.answers[entry.made.filename].append((entry.made.sha256, status))
            if status == 200 and number % 5 == 0:
                self._yank(entry, seed)

    def _yank(self, entry: Entry, seed: int) -> None:
        path = f"projects/{entry.project}/files/{entry.made.filename}"
        body = {"yanked": REASON}
        answer = until_answered(
            self._servers, lambda server: manage(server, "PATCH", path, body), seed
        )
        assert answer.status_code == 200, answer.text
        self.yanked.add(entry.made.filename)


@pytest.mark.parametrize("delivery", ["redirect", "stream"])
def test_storm(make_server: MakeServer, sea: Sea, soak: bool, delivery: str) -> None:
    """Uploads converge, what is answered stays, what is listed is whole, racers have one winner.

    A cache made anew from the storage, through the same storm, says the same of all files.
    """
    seed = SEED + (delivery == "stream")
    count = 300 if soak else 6
    chance = random.Random(seed)
    pair = [make_server(**sea.settings(DELIVERY=delivery)) for _ in range(2)]
    for server in pair:
        server.start()
    reader = PatientReader(pair[0], seed, pause=0.1)
    for number in range(4):
        reader.follow(f"storm-{number}")
    clients = Storm(pair, entries(seed, count), seed)
    sea.proxy.plan = storm(seed, RATE)
    reader.start()
    with ThreadPoolExecutor(CLIENTS) as pool:
        sending = [pool.submit(clients.send) for _ in range(CLIENTS)]
        while not all(future.done() for future in sending):
            time.sleep(chance.uniform(1, 4))
            victim = chance.choice(pair)
            victim.kill()
            victim.start()
            assert not reader.wrongs
    for future in sending:
        future.result()
    reader.finish()
    sea.proxy.plan = nothing
    time.sleep(TAIL)
    pair[0].check()
    for server in pair:
        judge(server, clients)

    before = {f"storm-{number}": told(pair[0], f"storm-{number}") for number in range(4)}
    for server in pair:
        server.kill()
    pair[0].lose_cache()
    sea.proxy.plan = storm(seed, RATE)
    pair[0].start()
    sea.proxy.plan = nothing
    assert {project: told(pair[0], project) for project in before} == before
    pair[0].check()


def told(server: Server, project: str) -> dict[str, object]:
    """What a page says of each file."""
    return {name: {**file, "url": ""} for name, file in files(server, project).items()}


def judge(server: Server, clients: Storm) -> None:
    """Of each filename one set of bytes won and is there; nothing else is."""
    projects = {name.rpartition("-1.")[0].replace("_", "-") for name in clients.answers}
    there = {name: file for project in projects for name, file in files(server, project).items()}
    assert set(there) == set(clients.answers)
    for filename, answers in clients.answers.items():
        winners = {sha256 for sha256, status in answers if status == 200}
        assert winners == {there[filename]["hashes"]["sha256"]}, (filename, answers)
        assert all(status == 200 for sha256, status in answers if sha256 in winners)
    assert {name for name, file in there.items() if file.get("yanked")} == clients.yanked
    for project in projects:
        require_whole(server, project)


def fill_some(server: Server) -> None:
    """Upload, yank, delete, restore, and set a status."""
    for version in ("1.0", "1.1", "2.0b3"):
        publish(server, FLAGSHIP, version)
    for project in ("plain", "gone", "deprecated"):
        publish(server, project, "1.0")
    ask(server, "PATCH", "demo-pkg/releases/1.0", {"yanked": REASON})
    ask(server, "DELETE", "demo-pkg/files/demo_pkg-1.1-py3-none-any.whl")
    ask(server, "DELETE", "plain/files/plain-1.0-py3-none-any.whl")
    ask(server, "POST", "plain/files/plain-1.0-py3-none-any.whl/restore")
    ask(server, "DELETE", "gone")
    ask(server, "PATCH", "deprecated", {"status": "deprecated", "reason": REASON})


def test_pages_come_back(make_server: MakeServer, sea: Sea, soak: bool) -> None:
    """After the cache was lost every page is byte-equal, though the store fails meanwhile."""
    server = make_server(**sea.settings())
    server.start()
    (fill if soak else fill_some)(server)
    time.sleep(TAIL)  # serials are noted within a second
    before = pages(server)
    for turn in range(10 if soak else 1):
        server.kill()
        server.lose_cache()
        sea.proxy.plan = storm(SEED + turn, RATE)
        server.start()
        sea.proxy.plan = nothing
        after = pages(server)
        changed = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
        assert not changed
    server.check()


@pytest.mark.parametrize("act", [Upload("first"), Upload("next")], ids=lambda act: act.name)
def test_kill_at_every_request(make_server: MakeServer, sea: Sea, soak: bool, act: Act) -> None:
    """Killed at any request, done by the store or not, nothing is lost and retries succeed."""
    server = make_server(**sea.settings())
    server.start()
    points = [(number, fault) for number in range(1, 20) for fault in (Fault.RESET, Fault.LOST)]
    if not soak:
        points = sorted(random.Random(SEED).sample(points[:18], 3), key=lambda point: point[0])
    killed = 0
    for turn, (number, fault) in enumerate(points):
        act.prepare(server, turn)
        plan = KillAt(server, number, fault)
        sea.proxy.plan = plan
        answered = attempt(server, act, turn)
        server.kill()
        sea.proxy.plan = nothing
        if not plan.killed:
            continue
        killed += 1
        server.start()
        where = f"killed at {plan.killed} ({fault.name}), answered: {answered}"
        project = act.project(turn)
        if answered:
            assert act.is_done(files(server, project), turn), where
        require_whole(server, project)
        if turn % 2:  # the others are left to the reconciler alone
            assert act.perform(server, turn).status_code == 200, where
            assert act.is_done(files(server, project), turn), where
    assert killed >= 2
    if not server.running:
        server.start()
    time.sleep(TAIL)
    server.check()
    for turn in range(len(points)):
        assert act.perform(server, turn).status_code == 200
        require_whole(server, act.project(turn))


def attempt(server: Server, act: Act, turn: int) -> bool:
    """Whether an act that may be cut short was answered well."""
    try:
        return act.perform(server, turn).is_success
    except httpx.TransportError:
        return False
