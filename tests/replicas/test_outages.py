"""The cache stopped, emptied, restarted, failed over: recovery without help, and no name lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import make_url

from tests.factories import Made, make_wheel
from tests.invariants.server import AUTH, JSON
from tests.replicas.caches import Redis
from tests.replicas.clients import PROJECTS, Ledger, Reader, client, managing, sending
from tests.replicas.conftest import SOAK
from tests.replicas.failover import following
from tests.replicas.fleet import LAG, PATIENCE, Fleet, fleet, page_of, shown
from tests.replicas.model import upload

DOWN = 20.0
"""Seconds that the database is away."""
READERS = 3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Say = Callable[[str, str], None]


@contextmanager
def watched(found: Fleet, seed: int) -> Iterator[Ledger]:
    """One file of each project, and readers to whom no name may be missing while the block runs."""
    ledger = Ledger()
    with client() as http:
        for project in PROJECTS:
            publish(found, ledger, http, project, "1.0")
        for url in found.entrances:  # each has rendered each page
            assert all(page_of(http, url, project).status_code == 200 for project in PROJECTS)
    time.sleep(LAG)
    readers = [Reader(found, ledger, seed + number) for number in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        yield ledger
    finally:
        ledger.over.set()
        for reader in readers:
            reader.join(timeout=PATIENCE)
    assert not ledger.wrongs, "\n".join([*ledger.wrongs, found.report()])


def publish(found: Fleet, ledger: Ledger, http: httpx.Client, project: str, version: str) -> Made:
    """A wheel, uploaded by way of the proxy until that is answered."""
    made = make_wheel(project, version)
    deadline = time.monotonic() + PATIENCE
    while True:
        file = (project, made.filename, upload(made.sha256))
        before = ledger.model.sent(*file, time.monotonic())
        answer = sending(project, made)(http, found.front)
        status, now = answer.status_code, time.monotonic()
        wrong = ledger.model.answered(*file, status, now, before)
        assert not wrong, wrong
        if status == 200:
            return made
        assert status in (502, 503, 504), answer.text
        assert now < deadline, found.report()
        time.sleep(0.1)


def recovered(found: Fleet, ledger: Ledger, version: str) -> float:
    """All are ready, and a write is shown by all of them; the seconds that took."""
    began = time.monotonic()
    found.until_ready()
    seconds = time.monotonic() - began
    with client() as http:
        made = publish(found, ledger, http, PROJECTS[0], version)
        time.sleep(LAG)
        for replica in found.replicas:
            page = page_of(http, replica.url, PROJECTS[0])
            assert page.status_code == 200, (page.text, found.report())
            assert made.filename in shown(page)
    return seconds


@pytest.mark.parametrize(
    ("cache", "front"), [("postgresql", "haproxy"), ("redis", "nginx"), ("dynamodb", "haproxy")]
)
def test_the_cache_goes_and_comes_back(
    tmp_path: Path, record_property: Say, seed: int, cache: str, front: str
) -> None:
    """Stopped, emptied, restarted: pages at hand are served, no name is missing, all recover.

    Emptied means tables dropped, FLUSHALL, the table deleted.
    """
    with fleet(cache, front, tmp_path) as found, watched(found, seed) as ledger:
        down = DOWN if cache == "postgresql" or SOAK else 4.0
        found.kill_cache()
        require_stale(found)
        time.sleep(down)
        found.revive_cache()
        times = {f"{down:.0f} s without it": recovered(found, ledger, "2.0")}
        for turn in range(5 if SOAK else 2):
            found.empty_cache()
            time.sleep(2 * LAG)  # until they have noticed
            times[f"emptied ({turn + 1})"] = recovered(found, ledger, f"3.{turn}")
        found.kill_cache()
        found.revive_cache()
        times["restarted"] = recovered(found, ledger, "4.0")
        with client() as http:  # each has rendered each page since
            for replica in found.replicas:
                assert all(page_of(http, replica.url, one).status_code == 200 for one in PROJECTS)
        found.freeze_cache()
        require_pages(found)
        found.thaw_cache()
        times["hung"] = recovered(found, ledger, "4.1")
        if isinstance(found.cache, Redis):
            found.kill_cache()
            found.cache.forget()
            found.revive_cache()
            times["restarted with nothing"] = recovered(found, ledger, "5.0")
        found.replicas[0].check()
        said = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in times.items())
        record_property("figures", f"{cache}: ready again after: {said}")


def require_pages(found: Fleet) -> None:
    """Once the replicas have noticed that the cache says nothing, the proxy has every page.

    A client waits no longer than a moment for each, and no replica is taken for broken.
    """
    begun = time.monotonic()
    with client() as http:
        for replica in found.replicas:
            while http.get(f"{replica.url}/health/ready").json()["status"] != "stale":
                assert time.monotonic() < begun + PATIENCE
        until, asked = time.monotonic() + 5.0, 0
        while time.monotonic() < until:
            for project in PROJECTS:
                page = page_of(http, found.front, project)
                assert page.status_code == 200, (page.text, found.report())
                asked += 1
    assert asked > 3 * len(PROJECTS)


def require_stale(found: Fleet) -> None:
    """Every replica serves what it has rendered, and says how old that is and may become."""
    with client() as http:
        for replica in found.replicas:
            deadline = time.monotonic() + PATIENCE
            while (health := http.get(f"{replica.url}/health/ready")).json()["status"] != "stale":
                assert time.monotonic() < deadline, health.text
                time.sleep(0.1)
            assert health.status_code == 200
            stale = health.json()["stale"]
            assert 0 < stale["age"] < stale["limit"] == 600
            for project in PROJECTS:
                page = page_of(http, replica.url, project)
                assert page.status_code == 200, page.text
                file = page.json()["files"][0]
                moved = http.get(str(page.url.join(file["url"])))
                assert moved.status_code == 302
            for unknown in ("never-asked", "alpha-beta"):
                assert page_of(http, replica.url, unknown).status_code == 503
            refused = managing("DELETE", f"/api/v1/projects/{PROJECTS[0]}")(http, replica.url)
            assert refused.status_code == 503
            assert page_of(http, replica.url, PROJECTS[0]).status_code == 200


def test_pages_are_stale_no_longer_than_is_said(tmp_path: Path) -> None:
    """Once the limit is over there is no page, and a balancer is told not to ask for any."""
    with fleet("redis", "haproxy", tmp_path, count=1, STALE_LIMIT="3s") as found:
        (replica,) = found.replicas
        with client() as http:
            publish(found, Ledger(), http, PROJECTS[0], "1.0")
            for path in ("simple/", f"simple/{PROJECTS[0]}/"):
                assert http.get(f"{replica.url}/{path}", headers={"Accept": JSON}).is_success
            found.kill_cache()
            deadline = time.monotonic() + PATIENCE
            served = True
            while served:
                assert time.monotonic() < deadline
                begun = time.monotonic()
                health = http.get(f"{replica.url}/health/ready")
                served = page_of(http, replica.url, PROJECTS[0]).status_code == 200
                if begun - found.disturbed > 3 + LAG:
                    assert not served
                time.sleep(0.1)
            health = http.get(f"{replica.url}/health/ready")
            assert health.status_code == 503
            assert health.json()["status"] == "unavailable"
            assert http.get(f"{replica.url}/simple/", auth=AUTH).status_code == 503
            found.revive_cache()
            found.until_ready()
            assert page_of(http, replica.url, PROJECTS[0]).status_code == 200


def test_a_failover_that_lost_commits(tmp_path: Path, record_property: Say, seed: int) -> None:
    """A standby that never got the last commits takes over: what was answered comes back alone."""
    with (
        fleet("postgresql", "haproxy", tmp_path) as found,
        following(tmp_path / "standby", port_of(found)) as standby,
        watched(found, seed) as ledger,
        client() as http,
    ):
        time.sleep(1)  # it has all until now
        standby.freeze()
        publish(found, ledger, http, PROJECTS[0], "2.0")
        publish(found, ledger, http, "only-the-storage-knows", "1.0")
        time.sleep(LAG)
        found.kill_cache()
        standby.take_over(port_of(found))
        began = time.monotonic()
        times = recovered(found, ledger, "3.0"), time.monotonic() - began
        require_shown(found, ledger)
        found.replicas[0].check()
        record_property(
            "figures", f"failover without the last commits: whole {max(times):.1f} s after it"
        )


def port_of(found: Fleet) -> int:
    """Where the database listens."""
    return int(make_url(found.cache.settings["CACHE"]).port or 0)


def require_shown(found: Fleet, ledger: Ledger) -> None:
    """Every replica shows all that was ever answered."""
    with client() as http:
        for project in ledger.model.projects():
            for replica in found.replicas:
                begin = time.monotonic()
                page = page_of(http, replica.url, project)
                assert page.status_code == 200, (replica.url, project, found.report())
                end = time.monotonic()
                wrong = ledger.model.wrong_page(project, shown(page), begin, end)
                assert not wrong, (wrong, found.report())
