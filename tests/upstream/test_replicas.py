"""Several processes that share a storage ask an upstream as one, also when one is killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import httpx
import pytest

from tests import processes
from tests.factories import Made
from tests.servers.upstream import Asked, Fault, Sent, Upstream
from tests.upstream.conftest import SOAK
from tests.upstream.sites import JSON, hashed

READERS = 200 if SOAK else 24
PATIENCE = 60.0


def replicas(stack: ExitStack, folder: Path, upstream: Upstream, count: int = 2) -> list[str]:
    """So many, each a process of its own on the same storage and cache; their URLs."""
    return [stack.enter_context(replica(folder, upstream)).url for _ in range(count)]


def replica(
    folder: Path, upstream: Upstream, **more: str
) -> AbstractContextManager[processes.Running]:
    """One of them."""
    settings = {"FALLBACK": "cache", "UPSTREAM": upstream.simple, "DEFAULT_FETCH": "everyone"}
    return processes.running(folder, **(settings | more))


def slowly(part: str, *, after: float = 0.0, slow: float = 0.0) -> Fault:
    """What is asked below a path takes its time."""

    def fault(asked: Asked, sent: Sent) -> Sent:
        if part in asked.path:
            sent.after, sent.slow = after, slow
        return sent

    return fault


def holder(folder: Path, what: str) -> int:
    """The process whose turn it is to ask for something; waits until there is one.

    Another one may be about a page meanwhile.
    """
    key = hashlib.sha256(what.encode()).hexdigest()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for path in folder.rglob(f"upstream/turns/{key}*"):
            try:
                return int(json.loads(path.read_bytes())["holder"]["pid"])
            except (FileNotFoundError, ValueError):
                continue  # it has ended, or is being written
        time.sleep(0.01)
    raise AssertionError("nobody's turn")


def persistent(urls: Sequence[str], path: str) -> str:
    """The hash of what comes, asked again where the connection breaks, as installers do."""
    deadline = time.monotonic() + PATIENCE
    number = 0
    with httpx.Client(trust_env=False, verify=False, timeout=PATIENCE) as client:  # loopback
        while time.monotonic() < deadline:
            try:
                with client.stream(
                    "GET", f"{urls[number % len(urls)]}{path}", headers=JSON
                ) as answer:
                    assert answer.status_code in (200, 503), answer.read()
                    if answer.status_code == 200:
                        return hashed(answer)
            except httpx.TransportError:
                pass
            time.sleep(0.1)
            number += 1
    return "nothing"


def test_many_who_ask_replicas_for_a_cold_page_cost_one_question(
    upstream: Upstream, tmp_path: Path, name: str
) -> None:
    """32 readers of two replicas, one request; all pages are equal."""
    upstream.has(name)
    upstream.fault = slowly("/simple/", after=0.5)
    with ExitStack() as stack:
        urls = replicas(stack, tmp_path, upstream)
        with ThreadPoolExecutor(32) as pool:
            asked = [
                pool.submit(persistent, urls[:: 1 - n % 2 * 2], f"/simple/{name}/")
                for n in range(32)
            ]
            assert len({one.result() for one in asked} - {"nothing"}) == 1
    assert upstream.paths() == [f"/simple/{name}/"]


def test_a_file_that_replicas_are_asked_for_at_once_is_fetched_by_one(
    upstream: Upstream, tmp_path: Path, big: Made, name: str
) -> None:
    """The others hand out what it keeps; nothing is left of the turn."""
    upstream.has(name, made=big)
    upstream.fault = slowly("/files/", after=0.5)
    path = f"/files/{name}/{big.filename}"
    with ExitStack() as stack:
        urls = replicas(stack, tmp_path, upstream)
        with ThreadPoolExecutor(READERS) as pool:
            asked = [pool.submit(persistent, urls[:: 1 - n % 2 * 2], path) for n in range(READERS)]
            assert {one.result() for one in asked} == {big.sha256}
    assert upstream.paths(path) == [path]
    assert list(tmp_path.rglob("upstream/turns/*")) == []


@pytest.mark.parametrize("moment", ["before the answer", "amid it"])
@pytest.mark.parametrize("workers", [1, 2], ids=["a replica", "a worker"])
def test_the_process_that_leads_is_killed(
    upstream: Upstream, tmp_path: Path, big: Made, name: str, workers: int, moment: str
) -> None:
    """Everybody gets all bytes, of whom it served too; the upstream is asked twice at most."""
    upstream.has(name, made=big)
    path = f"/files/{name}/{big.filename}"
    killed = threading.Event()
    sent_first = 0 if moment == "before the answer" else len(big.content) // 2

    def pieces() -> Iterator[bytes]:
        """Whoever leads is killed amid it, however slow the machine is."""
        yield big.content[:sent_first]
        killed.wait(PATIENCE)
        yield big.content[sent_first:]

    def held(asked: Asked, sent: Sent) -> Sent:
        if asked.path == path and not killed.is_set():
            if not sent_first:
                killed.wait(PATIENCE)
            return Sent(headers={"Content-Length": str(len(big.content))}, pieces=pieces())
        return sent

    upstream.fault = held
    with ExitStack() as stack:
        if workers == 1:
            urls = replicas(stack, tmp_path, upstream)
        else:
            urls = [stack.enter_context(replica(tmp_path, upstream, WORKERS="2")).url] * 2
        with ThreadPoolExecutor(READERS) as pool:
            asked = [pool.submit(persistent, urls[:: 1 - n % 2 * 2], path) for n in range(READERS)]
            leader = holder_of(upstream, path, tmp_path, f"file {name}/{big.filename}")
            time.sleep(0.5)
            os.kill(leader, signal.SIGKILL)
            killed.set()
            assert {one.result() for one in asked} == {big.sha256}
    assert len(upstream.paths(path)) == 2


def holder_of(upstream: Upstream, path: str, folder: Path, what: str) -> int:
    """Who asked the upstream for a file."""
    deadline = time.monotonic() + PATIENCE
    while not upstream.paths(path):
        assert time.monotonic() < deadline, "nobody asks"
        time.sleep(0.01)
    return holder(folder, what)
