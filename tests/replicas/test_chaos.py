"""Random work while replicas and the cache are killed: invariants 1 to 4, 6 and 7."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.invariants.server import JSON
from tests.replicas.clients import PROJECTS, RACES, Actor, Ledger, Reader, Writer, client
from tests.replicas.conftest import SOAK
from tests.replicas.convergence import PROJECT as PROBER
from tests.replicas.convergence import Prober, Times, histogram
from tests.replicas.fleet import PATIENCE, Fleet, Replica, fleet, page_of, shown

KILLS = 100 if SOAK else 5
"""In each case; between two of them lie some seconds of work."""
WRITERS, READERS = 3, 2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

Say = Callable[[str, str], None]
Told = dict[str, tuple[int, object]]


@pytest.mark.parametrize(
    ("cache", "front"),
    [
        ("postgresql", "haproxy"),
        ("redis", "nginx"),
        ("dynamodb", "nginx"),
        *([("redis without persistence", "haproxy")] if SOAK else []),
    ],
)
def test_chaos(
    tmp_path: Path,
    record_property: Say,
    seed: int,
    request: pytest.FixtureRequest,
    cache: str,
    front: str,
) -> None:
    """Whatever was answered holds, nothing impossible is seen, and all replicas agree in the end.

    In the end too, every file is whole, ``check`` finds nothing, and a cache that was emptied
    comes back with the same pages.
    """
    with told_how_to_replay(seed, request), fleet(cache, front, tmp_path) as found:
        ledger, times = Ledger(), Times()
        actors = working(found, ledger, times, seed)
        kill_at_random(found, ledger, random.Random(seed))
        judge(found, ledger, actors)
        record_property("figures", figures(f"{cache} behind {front}", found, ledger, times))


def test_workers_are_as_machines(
    tmp_path: Path, record_property: Say, seed: int, request: pytest.FixtureRequest
) -> None:
    """Two workers of one machine, one killed now and then, promise what two machines do."""
    with (
        told_how_to_replay(seed, request),
        fleet("redis", "haproxy", tmp_path, count=1, WORKERS="2") as found,
    ):
        ledger, times = Ledger(), Times()
        actors = working(found, ledger, times, seed)
        kill_workers(found, ledger, random.Random(seed))
        judge(found, ledger, actors)
        record_property("figures", figures("two workers", found, ledger, times))


@contextmanager
def told_how_to_replay(seed: int, request: pytest.FixtureRequest) -> Iterator[None]:
    """A failure says how to have the same again."""
    try:
        yield
    except BaseException as error:
        soak = "SOAK=1 " if SOAK else ""
        command = f"{soak}SEED={seed} .venv/bin/python -m pytest '{request.node.nodeid}'"
        error.add_note(f"Seed {seed}. Replay: {command}")
        raise


def working(found: Fleet, ledger: Ledger, times: Times, seed: int) -> list[Actor]:
    """Clients at work, readers, and one who looks how soon replicas agree."""
    actors: list[Actor] = [Writer(found, ledger, seed + n, n) for n in range(WRITERS)]
    actors += [Reader(found, ledger, seed + 100 + n) for n in range(READERS)]
    actors.append(Prober(found, ledger, seed + 200, times))
    for actor in actors:
        actor.start()
    return actors


def kill_at_random(found: Fleet, ledger: Ledger, chance: random.Random) -> None:
    """A replica or the cache every few seconds; mostly while the others can do their work.

    The cache loses all it holds once, while it runs; and with every kill where it forgets.
    """
    for turn in range(KILLS):
        time.sleep(chance.uniform(1, 2.5))
        if ledger.wrongs:
            return
        if chance.random() < 0.8:
            found.until_ready()
        if turn == KILLS // 2:
            found.empty_cache()
        elif turn % 3 == 1:
            found.kill_cache()
            time.sleep(chance.uniform(0, 1.5))
            found.revive_cache()
        else:
            victim = chance.choice(list(found.replicas))
            found.kill(victim)
            time.sleep(chance.uniform(0, 1))
            found.revive(victim)


def kill_workers(found: Fleet, ledger: Ledger, chance: random.Random) -> None:
    """One of several, which its parent replaces."""
    (replica,) = found.replicas
    for _ in range(KILLS // 2):
        time.sleep(chance.uniform(1, 2.5))
        if ledger.wrongs:
            return
        found.kill_worker(replica, chance)


def judge(found: Fleet, ledger: Ledger, actors: list[Actor]) -> None:
    """Nothing was wrong; and what stands now is what the model says, everywhere."""
    began = time.monotonic()
    found.until_ready()
    ledger.over.set()
    for actor in actors:
        actor.join(timeout=2 * PATIENCE)
        assert not actor.is_alive(), f"{actor} does not end\n{found.report()}"
    assert not ledger.wrongs, "\n".join([*ledger.wrongs, found.report()])
    found.note(f"ready {time.monotonic() - began:.2f} s after the last kill")
    agreed(found)
    require_possible(found, ledger)
    require_one_winner(found, ledger)
    require_whole(found)
    found.replicas[0].check()
    before = agreed(found)
    found.empty_cache()
    time.sleep(1)
    found.until_ready()
    assert agreed(found) == before


def agreed(found: Fleet) -> Told:
    """What all replicas say, once they say the same."""
    began = time.monotonic()
    while True:
        every = [told(replica) for replica in found.replicas]
        if all(one == every[0] for one in every) and all(s == 200 for s, _ in every[0].values()):
            break
        assert time.monotonic() - began < PATIENCE, (every, found.report())
        time.sleep(0.1)
    found.note(f"all agree, after {time.monotonic() - began:.2f} s of asking")
    return {name: (status, without_serials(body)) for name, (status, body) in every[0].items()}


def told(replica: Replica) -> Told:
    """The pages as they are."""
    with client() as http:
        pages = {name: page_of(http, replica.url, name) for name in (*PROJECTS, RACES, PROBER)}
        pages[""] = http.get(f"{replica.url}/simple/", headers={"Accept": JSON})
    return {
        name: (page.status_code, page.json() if page.is_success else page.text)
        for name, page in pages.items()
    }


def without_serials(body: object) -> object:
    """A page that a cache made anew says too: whose note was lost has a new serial."""
    if isinstance(body, dict):
        return {k: without_serials(v) for k, v in body.items() if k != "_last-serial"}
    return [without_serials(one) for one in body] if isinstance(body, list) else body


def require_possible(found: Fleet, ledger: Ledger) -> None:
    """Every file is in a state that the answers allow."""
    now = time.monotonic()
    with client() as http:
        for project in ledger.model.projects():
            page = shown(page_of(http, found.front, project))
            wrong = ledger.model.wrong_page(project, page, now, now)
            assert not wrong, f"{wrong}\n{found.report()}"


def require_one_winner(found: Fleet, ledger: Ledger) -> None:
    """Of racing uploads of one filename, one set of bytes won, and only its senders got 200."""
    with client() as http:
        there = shown(page_of(http, found.front, RACES))
    for filename, answers in ledger.races.items():
        winners = {sha256 for sha256, status in answers if status == 200}
        assert winners <= {there[filename][0]}, (filename, answers)
        refused = {sha256 for sha256, status in answers if status == 400}
        assert there[filename][0] not in refused, (filename, answers)


def require_whole(found: Fleet) -> None:
    """Every file that is listed can be downloaded, and so can its metadata."""
    with client() as http:
        for project in (*PROJECTS, RACES, PROBER):
            page = page_of(http, found.front, project)
            for file in page.json()["files"]:
                link = str(page.url.join(file["url"]))
                wrong = damaged(http, link, file)
                assert wrong is None, (link, wrong)


def damaged(http: httpx.Client, link: str, file: dict[str, object]) -> str | None:
    """See tests.invariants.reader."""
    from tests.invariants.reader import dangling

    return dangling(http, {**file, "url": link})


def figures(title: str, found: Fleet, ledger: Ledger, times: Times) -> str:
    """What there was, for whoever runs this by hand."""
    answers = ", ".join(f"{count} {what}" for what, count in sorted(ledger.answers.items()))
    return "\n".join(
        [
            f"{title}: {len(found.events)} events; {answers}",
            histogram("seen by another replica, all running", times.calm),
            histogram("the same, something killed or just back", times.disturbed),
        ]
    )
