"""Counts of one process, and of several."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app import errors
from app.metrics import Meters, Snapshot
from app.metrics.doors import DOORS, door
from app.metrics.exposition import written
from app.metrics.families import FAMILIES
from app.metrics.metered import CACHE, STORAGE, metered
from app.metrics.refusals import reason
from app.metrics.shared import Shared, sharing
from app.storage.memory import MemoryStorage
from app.upload import filenames

MANUAL = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_what_is_counted_is_read_as_it_stands() -> None:
    """Counts, watched numbers and times come out; a name that is none is a slip of ours."""
    meters = Meters()
    meters.count("requests", "simple", "200").value += 2
    assert meters.count("requests", "simple", "200").value == 2
    meters.watch("pages_bytes", lambda: 17)
    timing = meters.timing("hot_seconds")
    for seconds in (0.00001, 0.00003, 7.0):
        timing.observe(seconds)
    found = meters.snapshot()
    assert found.numbers["requests", ("simple", "200")] == 2
    assert found.numbers["pages_bytes", ()] == 17
    counts, total = found.timings["hot_seconds", ()]
    assert (counts[0], counts[2], counts[-1]) == (1, 1, 1)
    assert total == pytest.approx(7.00004)
    for slip in (("requests",), ("pages_bytes",), ("hot_seconds", "x")):
        with pytest.raises(ValueError, match="with the labels"):
            meters.count(*slip)


def test_numbers_of_several_are_added_by_what_they_mean() -> None:
    """Counts of the dead stay, their gauges go; of some gauges the most or least counts."""
    mine = Snapshot({("requests", ("simple", "200")): 1, ("serial_seen", ()): 5})
    numbers = {
        ("requests", ("simple", "200")): 2.0,
        ("requests", ("files", "302")): 3.0,
        ("serial_seen", ()): 4.0,
        ("changes_age_seconds", ()): 9.0,
        ("pages_bytes", ()): 10.0,
        ("of another version", ()): 1.0,
    }
    mine.add(Snapshot(numbers, {("hot_seconds", ()): ([1] * 9, 2.0)}))
    mine.add(Snapshot(numbers, {("hot_seconds", ()): ([1] * 9, 2.0)}), alive=False)
    assert mine.numbers == {
        ("requests", ("simple", "200")): 5,
        ("requests", ("files", "302")): 6,
        ("serial_seen", ()): 4,
        ("changes_age_seconds", ()): 9,
        ("pages_bytes", ()): 10,
    }
    assert mine.timings["hot_seconds", ()] == ([2] * 9, 4.0)


async def test_workers_add_up_and_nothing_goes_back(tmp_path: Path) -> None:
    """Whichever worker is asked, a count that was seen is never less later, its death included."""
    one, other = Meters(), Meters()
    folder = tmp_path / "made" / "when needed"
    first, second = Shared(one, folder), Shared(other, folder)
    key = ("hot_hits", ())
    ones = 3
    one.watch("hot_hits", lambda: ones)
    other.watch("hot_hits", lambda: 4)
    await second.write()
    assert (await first.collect()).numbers[key] == 7
    ones = 5
    assert (await first.collect()).numbers[key] == 9
    assert (await second.collect()).numbers[key] == 9
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    file = next(path for path in folder.iterdir() if json.loads(path.read_text()))
    file.rename(folder / f"{ended.pid}.dead.json")
    assert (await second.collect()).numbers[key] >= 9
    assert not list(folder.glob("*.part"))


async def test_a_worker_says_its_last_word(tmp_path: Path) -> None:
    """What was counted last is there when the process has ended."""
    meters = Meters()
    async with sharing(Shared(meters, tmp_path), every=3600):
        meters.count("uploads", "new").value += 1
    late = Shared(Meters(), tmp_path)
    assert (await late.collect()).numbers["uploads", ("new",)] == 1


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_everything_can_be_written_and_read(accept: str) -> None:
    """Each family appears once, with its help, in either format, whatever its labels hold."""
    meters = Meters()
    for name, family in FAMILIES.items():
        labels = ['a "b"\\\n'] * len(family.labels)
        if family.kind == "histogram":
            meters.timing(name, *labels).observe(0.02)
        else:
            meters.watch(name, lambda: 1.5, *labels)
    body, media_type = written(meters.snapshot(), accept)
    assert "openmetrics" in media_type if accept else media_type.startswith("text/plain")
    if accept:
        assert body.endswith(b"# EOF\n")
        return
    found = {one.name: one for one in text_string_to_metric_families(body.decode())}
    assert found.keys() == {f"pypicloud_{name}" for name in FAMILIES}
    assert all(one.documentation and one.samples for one in found.values())


def test_every_number_stands_in_the_manual() -> None:
    """docs/metrics.md names each, with its labels."""
    manual = MANUAL.read_text()
    for name, family in FAMILIES.items():
        full = f"pypicloud_{name}{'_total' if family.kind == 'counter' else ''}"
        line = next((line for line in manual.splitlines() if line.startswith(f"| `{full}`")), "")
        assert line, full
        assert all(f"`{label}`" in line for label in family.labels), line


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/simple/", "simple_root"),
        ("GET", "/simple/demo/", "simple"),
        ("GET", "/files/demo/demo-1.0.tar.gz", "files"),
        ("HEAD", "/files/demo/demo-1.0-py3-none-any.whl.metadata", "metadata"),
        ("POST", "/legacy/", "upload"),
        ("POST", "/", "upload"),
        ("POST", "/simple", "upload"),
        ("POST", "/pypi", "xmlrpc"),
        ("GET", "/pypi/demo/json", "json"),
        ("GET", "/api/v1/projects", "api"),
        ("GET", "/api/package/demo/demo-1.0.tar.gz", "aliases"),
        ("GET", "/_/oidc/audience", "oidc"),
        ("GET", "/health/ready", "health"),
        ("GET", "/", "web"),
        ("GET", "/project/demo/", "web"),
        ("GET", "/wp-admin.php", "other"),
        ("BREW", "/../../etc/passwd", "other"),
    ],
)
def test_doors_have_few_names(method: str, path: str, expected: str) -> None:
    """Whatever is asked for, below a root path too, has one of them."""
    assert door(method, path) == expected
    assert door(method, f"/packages{path}", "/packages") == expected
    assert expected in DOORS


async def test_calls_are_counted_around_a_backend() -> None:
    """By name and outcome, streams too; what is not a call passes through."""
    meters = Meters()
    storage = metered(MemoryStorage(), "storage", meters, STORAGE)
    assert await storage.create("a/b", b"x")
    assert [one async for one in storage.get("a/b")] == [b"x"]
    assert [stored.key async for stored in storage.scan()] == ["a/b"]
    with pytest.raises(errors.KeyNotFound):
        await anext(storage.get("a/c"))
    with pytest.raises(ValueError, match="key"):
        await storage.head("../up")
    found = {key[1]: n for key, n in meters.snapshot().numbers.items() if key[0] == "calls"}
    assert found == {
        ("storage", "create", "ok"): 1,
        ("storage", "get", "ok"): 1,
        ("storage", "get", "refused"): 1,
        ("storage", "scan", "ok"): 1,
        ("storage", "head", "error"): 1,
    }
    assert meters.snapshot().timings["call_seconds", ("storage", "get")][0].count(0) < 8
    assert meters.snapshot().numbers["calls_running", ("storage",)] == 0
    assert {"project", "serial"} <= CACHE
    with pytest.raises(AttributeError):
        storage.nothing  # type: ignore[attr-defined]  # noqa: B018


class Opening:
    """A backend that opens something for as long as it is read."""

    closed = False

    async def get(self, key: str) -> AsyncIterator[bytes]:
        """Never at its end."""
        try:
            while True:
                yield key.encode()
        finally:
            self.closed = True


async def test_what_a_stream_opened_is_closed_with_it() -> None:
    """At once, and not when memory is tidied up."""
    opening = Opening()
    chunks = cast(AsyncGenerator[bytes], metered(opening, "storage", Meters(), STORAGE).get("a"))
    assert await anext(chunks) == b"a"
    assert not opening.closed
    await chunks.aclose()
    assert opening.closed


class Breaking:
    """A backend whose stream breaks off behind its first chunk."""

    async def get(self, key: str) -> AsyncIterator[bytes]:
        """Once, and no more."""
        yield key.encode()
        raise errors.StorageUnavailable


async def test_a_stream_that_breaks_off_later_is_counted_too() -> None:
    """Its first chunk came, and then it failed: both are told, and nothing is left running."""
    meters = Meters()
    chunks = metered(Breaking(), "storage", meters, STORAGE).get("a")
    assert await anext(chunks) == b"a"
    with pytest.raises(errors.StorageUnavailable):
        await anext(chunks)
    found = {key[1]: n for key, n in meters.snapshot().numbers.items() if key[0] == "calls"}
    assert found == {("storage", "get", "ok"): 1, ("storage", "get", "error"): 1}
    assert meters.snapshot().numbers["calls_running", ("storage",)] == 0


def test_a_refusal_is_called_by_what_refused() -> None:
    """The check's name; of other errors, their own."""
    with pytest.raises(errors.InvalidUpload) as refused:
        filenames.check_version("1.0", "2.0")
    assert reason(refused.value) == "version"
    assert reason(errors.FileExists("a", "b")) == "file_exists"
    assert reason(errors.InvalidUpload("x")) == "invalid_upload"
