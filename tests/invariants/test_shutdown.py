"""SIGTERM amid uploads, and two replicas of one index."""

from __future__ import annotations

import base64
import random
import socket
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from tests.factories import Made, form, make_wheel
from tests.invariants.crashes import REASON
from tests.invariants.server import AUTH, Server, get, listed, manage, upload

SEED = 15
GRACE = 30
"""Seconds that ``pypicloud serve`` waits for what is under way."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MakeServer = Callable[..., Server]


def halves(server: Server, made: Made, name: str, version: str) -> tuple[bytes, bytes]:
    """The bytes of an upload's request, cut amid the file."""
    request = httpx.Request(
        "POST",
        f"{server.url}/legacy/",
        data=form(made, name, version),
        files={"content": (made.filename, made.content)},
    )
    body = request.read()
    lines = [f"{key}: {value}" for key, value in request.headers.items()]
    credentials = base64.b64encode(":".join(AUTH).encode()).decode()
    lines += [f"Authorization: Basic {credentials}", "Connection: close"]
    whole = "\r\n".join(["POST /legacy/ HTTP/1.1", *lines, "", ""]).encode() + body
    return whole[:-3000], whole[-3000:]


def begun(server: Server, first: bytes) -> socket.socket:
    """A connection on which the first half of a request was sent, and read."""
    connected = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connected.sendall(first)
    time.sleep(0.5)
    return connected


def answer_of(connected: socket.socket) -> bytes:
    """Everything until the connection ends."""
    received = b""
    try:
        while chunk := connected.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def padded(name: str, version: str = "1.0") -> Made:
    """A wheel of some 100 kB that does not compress."""
    return make_wheel(name, version, files={"noise.py": random.Random(SEED).randbytes(100_000)})


def nothing_of(server: Server, project: str) -> None:
    """Nothing of the project is stored, spooled, or pending."""
    assert not [key for key in server.stored(".") if f"/{project}/" in key]
    assert server.stored("pending") == set()
    assert server.stored(".tmp") == set()
    assert not any((server.state / "spool").iterdir())


def test_upload_in_flight_finishes(make_server: MakeServer) -> None:
    """An upload that SIGTERM finds half sent may be finished, is answered 200, and stays."""
    server = make_server()
    server.start()
    made = padded("slowly")
    first, second = halves(server, made, "slowly", "1.0")
    with begun(server, first) as connected:
        stopped = threading.Thread(target=server.stop)
        stopped.start()
        time.sleep(0.5)
        assert server.running
        connected.sendall(second)
        assert answer_of(connected).startswith(b"HTTP/1.1 200 ")
    stopped.join(timeout=GRACE)
    assert not server.running
    server.start()
    assert listed(server, "slowly")[made.filename]["hashes"]["sha256"] == made.sha256
    assert server.stored("pending") == set()
    server.stop()
    server.check()


def test_upload_in_flight_is_given_up(make_server: MakeServer, soak: bool) -> None:
    """An upload whose client goes away, or (``--soak``) just waits, leaves nothing and no wait."""
    server = make_server()
    server.start()
    first, _ = halves(server, padded("given-up"), "given-up", "1.0")
    with begun(server, first) as connected:
        stopped = threading.Thread(target=server.stop)
        stopped.start()
        time.sleep(0.5)
        if soak:
            assert not answer_of(connected).startswith(b"HTTP/1.1 200 ")
        connected.close()
        stopped.join(timeout=GRACE + 10 if soak else 10)
    assert not stopped.is_alive()
    nothing_of(server, "given-up")
    server.start()
    assert listed(server, "given-up") == {}
    assert upload(server, padded("given-up"), "given-up", "1.0").status_code == 200
    server.stop()
    server.check()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_amid_uploads(make_server: MakeServer, soak: bool, workers: str) -> None:
    """Stopped at any moment: answered uploads are there, the others absent or whole."""
    server = make_server(WORKERS=workers)
    chance = random.Random(SEED)
    answered: set[int] = set()
    begin = 0
    for _ in range(30 if soak else 3):
        server.start()
        stopped = threading.Event()
        threads = [
            threading.Thread(target=keep_uploading, args=(server, n, stopped, answered))
            for n in range(begin, begin + 4)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.2 + chance.random())
        server.stop()
        stopped.set()
        for thread in threads:
            thread.join(timeout=60)
        begin += 1000
    assert answered
    assert server.stored("pending") == set(), "a stop leaves nothing half done"
    assert not any((server.state / "spool").iterdir())
    server.check()
    server.start()
    files = listed(server, "many")
    for file in files.values():
        assert Made("", get(file["url"]).content).sha256 == file["hashes"]["sha256"]
    lost = {number for number in answered if wheel(number).filename not in files}
    assert not lost
    server.stop()


def keep_uploading(
    server: Server, number: int, stopped: threading.Event, answered: set[int]
) -> None:
    """Upload numbered wheels until the server is gone."""
    while not stopped.is_set():
        try:
            if upload(server, wheel(number), "many", f"1.{number}").status_code == 200:
                answered.add(number)
        except httpx.TransportError:
            return
        number += 4


def wheel(number: int) -> Made:
    """One of many."""
    return make_wheel("many", f"1.{number}")


POLL = 0.5
"""Seconds between two looks of a replica at what others changed."""


def test_replicas_agree_within_a_poll(make_server: MakeServer) -> None:
    """What one replica published, yanked or deleted, it shows at once, and the other soon.

    Meanwhile the other hands out and changes what only the first one shows.
    """
    pair = [make_server(), make_server()]
    for server in pair:
        server.start()
    for number in range(8):
        one, other = pair[number % 2], pair[1 - number % 2]
        project, made = f"shared-{number % 3}", make_wheel(f"shared-{number % 3}", f"1.{number}")
        listed(other, project)  # so that it has the page at hand
        assert upload(one, made, project, f"1.{number}").status_code == 200
        found = listed(one, project)[made.filename]
        content = get(found["url"].replace(one.url, other.url)).content
        assert Made("", content).sha256 == made.sha256
        path = f"projects/{project}/files/{made.filename}"
        assert manage(other, "PATCH", path, {"yanked": REASON}).status_code == 200
        assert listed(other, project)[made.filename]["yanked"] == REASON
        time.sleep(2 * POLL)
        assert listed(one, project)[made.filename]["yanked"] == REASON
        assert f">{project}<" in get(f"{other.url}/simple/").text
        if number % 4 == 3:
            assert manage(one, "DELETE", path).status_code == 204
            assert made.filename not in listed(one, project)
            time.sleep(2 * POLL)
            assert made.filename not in listed(other, project)
            assert get(found["url"].replace(one.url, other.url)).status_code == 404
    for server in pair:
        server.stop()
    pair[0].check()
