"""Kill a server at chosen calls of one act, again and again, and see what it left.

Every attempt is on the same storage, so all that was ever acknowledged is there to be lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from tests.factories import Made, make_wheel
from tests.invariants.calls import Call
from tests.invariants.reader import Reader, dangling
from tests.invariants.server import Server, listed, manage, upload

TAIL = 1.5
"""Seconds after an answer within which a server has done all that belongs to it."""
PATIENCE = 10
"""Seconds after an answer in which a call still counts as the act's, on a busy machine."""
REASON = "größer: 二"
REHEARSALS = (900_001, 900_002)
"""Turns that no point has."""


class Act(Protocol):
    """Something that a client asks for. ``turn`` tells one attempt from all others."""

    name: str

    def prepare(self, server: Server, turn: int) -> None:
        """Bring about what the act needs."""
        ...

    def perform(self, server: Server, turn: int) -> httpx.Response:
        """Ask for it; asking again must succeed too."""
        ...

    def project(self, turn: int) -> str:
        """The project that it concerns."""
        ...

    def is_done(self, files: dict[str, dict[str, Any]], turn: int) -> bool:
        """Whether the project's page shows that it was done."""
        ...


def wheel(project: str, version: str) -> Made:
    """A small wheel; of the same arguments always the same."""
    return make_wheel(project, version)


class Upload:
    """Uploading: the first file of a project each time, or one more of the same project."""

    def __init__(self, name: str) -> None:
        self.name = name

    def prepare(self, server: Server, turn: int) -> None:
        if self.name == "next" and not listed(server, "next"):
            assert upload(server, wheel("next", "0.1"), "next", "0.1").status_code == 200

    def project(self, turn: int) -> str:
        return "next" if self.name == "next" else f"first-{turn}"

    def perform(self, server: Server, turn: int) -> httpx.Response:
        project, version = self.project(turn), f"1.{turn}"
        return upload(server, wheel(project, version), project, version)

    def is_done(self, files: dict[str, dict[str, Any]], turn: int) -> bool:
        made = wheel(self.project(turn), f"1.{turn}")
        found = files.get(made.filename)
        return found is not None and found["hashes"]["sha256"] == made.sha256


class Change:
    """Yanking or deleting a file that was uploaded just before."""

    def __init__(self, name: str) -> None:
        self.name = name

    def prepare(self, server: Server, turn: int) -> None:
        made = wheel(self.name, f"1.{turn}")
        assert upload(server, made, self.name, f"1.{turn}").status_code == 200

    def project(self, turn: int) -> str:
        return self.name

    def perform(self, server: Server, turn: int) -> httpx.Response:
        if self.name == "yank":
            path = f"projects/yank/releases/1.{turn}"
            return manage(server, "PATCH", path, {"yanked": REASON})
        path = f"projects/delete/files/{wheel('delete', f'1.{turn}').filename}"
        answer = manage(server, "DELETE", path)
        if answer.status_code == 404:  # an earlier attempt deleted it
            return httpx.Response(204)
        return answer

    def is_done(self, files: dict[str, dict[str, Any]], turn: int) -> bool:
        found = files.get(wheel(self.name, f"1.{turn}").filename)
        return found is None if self.name == "delete" else bool(found and found["yanked"] == REASON)


ACTS: tuple[Act, ...] = (Upload("first"), Upload("next"), Change("yank"), Change("delete"))


@dataclass(slots=True)
class Attempt:
    """What became of one: killed at ``call`` (None: it was over before), answered or not."""

    turn: int
    call: Call | None
    answered: bool

    def __str__(self) -> str:
        said = "answered" if self.answered else "not answered"
        return f"killed before call {self.turn} ({self.call}), {said}"


def calls_of(server: Server, act: Act) -> list[Call]:
    """The calls that one undisturbed act makes, on a storage where it was done before."""
    for turn in REHEARSALS:
        server.start(watched=True)
        act.prepare(server, turn)
        time.sleep(TAIL)
        assert server.watch is not None
        server.watch.arm()
        assert act.perform(server, turn).is_success
        time.sleep(TAIL)
        server.kill()
        calls = server.watch.calls
    return calls


def kill_at(server: Server, act: Act, points: Sequence[int], *, seed: int) -> list[Attempt]:
    """Begin one act for each point and kill the server before that call; see what is left.

    Ends early once a point lies beyond the last call. AssertionError names the point at
    which an acknowledged act was lost, a page listed what is not whole, or a retry failed.
    """
    reader = Reader(server, seed, pause=0.1)
    reader.leaving = {wheel("delete", f"1.{turn}").filename for turn in points}
    attempts: list[Attempt] = []
    server.start(watched=True)
    reader.start()
    try:
        for point in points:
            attempt = _attempt(server, act, point, reader)
            attempts.append(attempt)
            server.start(watched=True)
            _judge(server, act, attempt)
            if attempt.turn % 2:  # the others are left to the reconciler alone
                _retry(server, act, attempt)
            assert not reader.wrongs, (str(attempt), reader.wrongs)
            if attempt.call is None:
                break
        _settle(server, act, attempts)
    finally:
        server.kill()
    reader.finish()
    server.check()
    return attempts


def _attempt(server: Server, act: Act, point: int, reader: Reader) -> Attempt:
    act.prepare(server, point)
    reader.follow(act.project(point))
    watch = server.watch
    assert watch is not None
    watch.arm(point)
    answered = False
    try:
        answer = act.perform(server, point)
        assert answer.is_success, (point, answer.status_code, answer.text)
        answered = True
    except httpx.TransportError:
        assert watch.killed.wait(30), f"no answer, and yet alive before call {point}"
    killed = watch.killed.wait(PATIENCE)
    server.kill()
    return Attempt(point, watch.calls[point - 1] if killed else None, answered)


def _judge(server: Server, act: Act, attempt: Attempt) -> None:
    """What was answered stands, and its file, if listed, is whole; the reader sees to others."""
    files = listed(server, act.project(attempt.turn))
    if attempt.answered:
        assert act.is_done(files, attempt.turn), f"{attempt}: lost"
    mine = [file for name, file in files.items() if f"-1.{attempt.turn}-" in name]
    _compare(server, act.project(attempt.turn), mine, str(attempt))


def _compare(server: Server, project: str, files: Iterable[dict[str, Any]], when: str) -> None:
    with httpx.Client(trust_env=False, verify=False, timeout=30) as client:
        for file in files:
            wrong = dangling(client, file)
            # A delete that the reconciler finished meanwhile is none.
            still = wrong and file["filename"] in listed(server, project)
            assert not still, f"{when}: {file['filename']} {wrong}"


def _retry(server: Server, act: Act, attempt: Attempt) -> None:
    answer = act.perform(server, attempt.turn)
    assert answer.is_success, (str(attempt), answer.status_code, answer.text)
    done = act.is_done(listed(server, act.project(attempt.turn)), attempt.turn)
    assert done, f"{attempt}: tried again, and not done"
    _judge(server, act, attempt)


def _settle(server: Server, act: Act, attempts: Sequence[Attempt]) -> None:
    """The reconciler alone makes cache and journal agree; then every retry succeeds."""
    time.sleep(TAIL)
    server.check()
    for attempt in attempts:
        _judge(server, act, attempt)
        _retry(server, act, attempt)
    for project in {act.project(attempt.turn) for attempt in attempts}:
        _compare(server, project, listed(server, project).values(), "in the end")
