"""Eight processes upload one filename: invariant 3."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pytest

from tests.factories import Made, make_wheel
from tests.invariants.server import ROOT, Server, get, listed

RACERS = 8
ROUNDS = 50
SEED = 50_8

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Racer:
    """One process of tests.invariants.racer."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.invariants.racer", url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._input = cast(IO[str], self._process.stdin)
        self._output = cast(IO[str], self._process.stdout)

    def tell(self, line: str) -> None:
        """One line to it."""
        self._input.write(f"{line}\n")
        self._input.flush()

    def hear(self) -> str:
        """One line from it."""
        return self._output.readline().rstrip("\n")

    def close(self) -> None:
        """End it."""
        self._input.close()
        self._output.close()
        assert self._process.wait(timeout=30) == 0


@contextmanager
def racers(url: str) -> Iterator[list[Racer]]:
    """As many as there are to be."""
    started = [Racer(url) for _ in range(RACERS)]
    try:
        yield started
    finally:
        for racer in started:
            racer.close()


def race(
    runners: Sequence[Racer], entries: Sequence[Made], project: str, version: str, folder: Path
) -> list[tuple[int, str]]:
    """One round: status and text of every racer's answer."""
    for number, (racer, made) in enumerate(zip(runners, entries, strict=True)):
        path = folder / f"entry-{number}"
        path.write_bytes(made.content)
        task = {"path": str(path), "filename": made.filename, "project": project}
        racer.tell(json.dumps({**task, "version": version}))
    for racer in runners:
        assert racer.hear() == "ready"
    for racer in runners:
        racer.tell("go")
    answers = [json.loads(racer.hear()) for racer in runners]
    return [(answer["status"], answer["text"]) for answer in answers]


def different(turn: int, project: str, version: str, sharing: int) -> list[Made]:
    """A wheel for each racer, all of one filename; ``sharing`` of them have the same bytes."""
    return [
        make_wheel(project, version, files={"m.py": f"# {turn} {i // sharing}".encode()})
        for i in range(RACERS)
    ]


def soon_listed(server: Server, project: str, filename: str) -> dict[str, Any]:
    """What the page says of a file, once the worker that answers has seen it."""
    deadline = time.monotonic() + 10
    while filename not in (files := listed(server, project)):
        assert time.monotonic() < deadline, f"{filename} is not listed"
        time.sleep(0.02)
    return files[filename]


def test_one_winner(make_server: Callable[..., Server], tmp_path: Path, soak: bool) -> None:
    """Of racing bytes one wins; its racers get 200, the others 400, and nothing else stays."""
    server = make_server(WORKERS="2", PAGE_REFRESH="20 ms")
    server.start()
    rounds = ROUNDS * 10 if soak else ROUNDS
    projects: set[str] = set()
    blobs = 0
    with racers(server.url) as runners:
        for number in range(rounds):
            # New names are raced for as well, in every other round.
            project = "raced" if number % 2 else f"raced-{number}"
            version = f"1.{number}"
            sharing = random.Random(SEED + number).choice([1, 1, 1, 2, 4, RACERS])
            entries = different(number, project, version, sharing)
            answers = race(runners, entries, project, version, tmp_path)
            winners = {
                made.sha256
                for made, (status, _) in zip(entries, answers, strict=True)
                if status == 200
            }
            assert len(winners) == 1, (number, answers)
            for made, (status, text) in zip(entries, answers, strict=True):
                assert (status == 200) == (made.sha256 in winners), (number, answers)
                assert status == 200 or (status == 400 and "File already exists" in text), answers
            found = soon_listed(server, project, entries[0].filename)
            stored = get(found["url"]).content
            assert {found["hashes"]["sha256"], Made("", stored).sha256} == winners
            projects.add(project)
            blobs += 1
    assert len([key for key in server.stored("blobs") if key.endswith(".whl")]) == blobs
    assert len(server.stored("blobs")) == 2 * blobs
    assert len(server.stored("journal")) == blobs + len(projects)
    assert server.stored("pending") == set()
    assert server.stored(".tmp") == set()
    assert not any((server.state / "spool").iterdir())
    server.check()
    server.stop()
