"""The proxy between the app and a store: what it passes on, and what it breaks."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.servers.faults import FaultProxy, between
from tests.servers.plans import Answer, Fault, Request, Rule, Seeded

BODY = bytes(range(256)) * 1024
GONE = (httpx.NetworkError, httpx.RemoteProtocolError)
"""What the client tells of a connection that was reset while it wrote: it may see only the end."""
SLOW_DOWN = Answer(503, "Slow Down", ("Content-Type: application/xml",), b"<Code>SlowDown</Code>")


class Store(ThreadingHTTPServer):
    """Keeps what is PUT, whole or cut, and remembers how it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.hosts: list[str] = []
        super().__init__(("127.0.0.1", 0), Door)


class Door(BaseHTTPRequestHandler):
    """One connection to it."""

    protocol_version = "HTTP/1.1"
    server: Store

    def do_PUT(self) -> None:  # the library's name
        """Keep a body."""
        self.server.hosts.append(self.headers["Host"])
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if len(body) == int(self.headers["Content-Length"]):
            self.server.kept[self.path] = body
            self._say(b"kept")

    def do_GET(self) -> None:  # the library's name
        """Give it back, in chunks where the path says so."""
        body = self.server.kept.get(self.path, BODY)
        if "chunked" not in self.path or self.command == "HEAD":
            self._say(body)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(body), 10_000):
            part = body[at : at + 10_000]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    do_HEAD = do_GET  # the library's name

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def store() -> Iterator[Store]:
    """A store."""
    with Store() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(store: Store) -> Iterator[FaultProxy]:
    """The proxy before it."""
    with between(store.server_address[1]) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[httpx.Client]:
    """A client that does not wait for long."""
    with httpx.Client(base_url=proxy.url, trust_env=False, timeout=0.5) as client:
        yield client


@pytest.mark.parametrize("path", ["/plain", "/chunked"])
def test_without_a_plan_all_is_passed_on(
    client: httpx.Client, proxy: FaultProxy, store: Store, path: str
) -> None:
    """Bodies go through whole in both ways, on one connection, and the Host is the proxy's."""
    for _ in range(3):
        assert client.put(path, content=BODY).text == "kept"
        assert client.get(path).content == BODY
        assert client.head(path).status_code == 200
    assert store.kept == {path: BODY}
    assert set(store.hosts) == {f"127.0.0.1:{proxy.port}"}
    assert [(seen.method, seen.fault) for seen in proxy.seen[:2]] == [("PUT", None), ("GET", None)]


def test_expect_is_passed_on(proxy: FaultProxy, store: Store) -> None:
    """A client that waits for 100 Continue is told by the store, then by its answer."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connected:
        connected.sendall(
            b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connected.recv(64).startswith(b"HTTP/1.1 100 ")
        connected.sendall(b"body")
        assert connected.recv(64).startswith(b"HTTP/1.1 200 ")
    assert store.kept == {"/a": b"body"}


@pytest.mark.parametrize(
    ("fault", "error", "done"),
    [
        (Fault.RESET, GONE, False),
        (Fault.CUT, GONE, False),
        (Fault.SILENT, httpx.TimeoutException, False),
        (Fault.LOST, httpx.NetworkError, True),
        (Fault.UNANSWERED, httpx.TimeoutException, True),
        (Fault.TRUNCATED, httpx.RemoteProtocolError, True),
        (Fault.STALLED, httpx.TimeoutException, True),
    ],
)
def test_a_write_goes_wrong(
    client: httpx.Client,
    proxy: FaultProxy,
    store: Store,
    fault: Fault,
    error: type[Exception] | tuple[type[Exception], ...],
    done: bool,
) -> None:
    """A broken write fails as it should; the store has it where it is said to, and only there."""
    proxy.plan = Rule(fault, method="PUT")
    with pytest.raises(error):
        client.put("/a", content=BODY)
    assert store.kept == ({"/a": BODY} if done else {})
    assert client.get("/b").content == BODY


@pytest.mark.parametrize("path", ["/plain", "/chunked"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.RESET, httpx.NetworkError),
        (Fault.CUT, httpx.NetworkError),
        (Fault.SILENT, httpx.TimeoutException),
        (Fault.LOST, httpx.NetworkError),
        (Fault.TRUNCATED, httpx.RemoteProtocolError),
        (Fault.STALLED, httpx.TimeoutException),
    ],
)
def test_a_read_goes_wrong(
    client: httpx.Client, proxy: FaultProxy, fault: Fault, error: type[Exception], path: str
) -> None:
    """A broken read fails as it should, and the next one is whole."""
    proxy.plan = Rule(fault, times=1)
    with pytest.raises(error):
        client.get(path)
    assert client.get(path).content == BODY


def test_a_head_goes_wrong(client: httpx.Client, proxy: FaultProxy) -> None:
    """An answer that has no body is cut in its head."""
    proxy.plan = Rule(Fault.TRUNCATED)
    with pytest.raises(httpx.RemoteProtocolError):
        client.head("/a")


@pytest.mark.parametrize("path", ["/plain", "/chunked"])
def test_bytes_change(client: httpx.Client, proxy: FaultProxy, store: Store, path: str) -> None:
    """One byte is another, on the way there or back, and nothing else tells of it."""
    proxy.plan = Rule(Fault.FLIPPED)
    assert differing(client.get(path).content, BODY) == 1
    proxy.plan = Rule(Fault.SPOILED)
    assert client.put(path, content=BODY).text == "kept"
    assert differing(store.kept[path], BODY) == 1


def differing(one: bytes, other: bytes) -> int:
    """In how many places."""
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_an_answer_comes_late(client: httpx.Client, proxy: FaultProxy) -> None:
    """A delayed answer is whole."""
    proxy.plan = Rule(Fault.DELAYED)
    proxy.delay = 0.1
    assert client.get("/a").content == BODY


@pytest.mark.parametrize("done", [False, True])
def test_canned_answers(client: httpx.Client, proxy: FaultProxy, store: Store, done: bool) -> None:
    """An answer of the proxy's own stands for the store's, which did it or was not asked."""
    proxy.plan = Rule(SLOW_DOWN._replace(done=done), times=2)
    answer = client.put("/a", content=BODY)
    assert (answer.status_code, answer.content) == (503, SLOW_DOWN.body)
    assert store.kept == ({"/a": BODY} if done else {})
    assert client.head("/a").status_code == 503
    assert client.get("/b").content == BODY
    assert len({id(seen.fault) for seen in proxy.seen}) == 2


def test_refusing(client: httpx.Client, proxy: FaultProxy) -> None:
    """While it refuses nobody connects, not even who was connected; then all is well again."""
    assert client.get("/a").status_code == 200
    with proxy.refusing():
        for _ in range(2):
            with pytest.raises(httpx.NetworkError):
                client.get("/a")
    assert client.get("/a").status_code == 200


def test_rules() -> None:
    """A rule holds for what matches it, so many times, after so many."""
    rule = Rule(Fault.LOST, method="^PUT$", target=r"/journal/", skip=1, times=2)
    put = Request(0, "PUT", "/b/journal/x")
    assert rule(Request(0, "PUT", "/b/blobs/x")) is None
    assert rule(Request(0, "GET", "/b/journal/x")) is None
    assert [rule(put) for _ in range(4)] == [None, Fault.LOST, Fault.LOST, None]
    assert rule.hits == 2


def test_seeds() -> None:
    """The same seed gives the same faults, about as many as asked for."""
    plans = [Seeded(seed, 0.2, tuple(Fault)) for seed in (1, 1, 2)]
    drawn = [[plan(Request(n, "GET", "/")) for n in range(1000)] for plan in plans]
    assert drawn[0] == drawn[1] != drawn[2]
    assert 150 < sum(fault is not None for fault in drawn[0]) < 250
    assert {fault for fault in drawn[0] if fault is not None} == set(Fault)


def test_an_end_amid_connections_leaves_no_socket(store: Store) -> None:
    """Whoever connects while the proxy ends is closed as well, accepted or not; none is leaked."""
    head = b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
    for turn in range(40):
        connected: list[socket.socket] = []

        def connect(port: int, connected: list[socket.socket]) -> None:
            try:
                while True:
                    connected.append(socket.create_connection(("127.0.0.1", port), timeout=5))
                    connected[-1].sendall(head)
            except OSError:
                return

        with between(store.server_address[1]) as proxy:
            thread = threading.Thread(target=connect, args=(proxy.port, connected))
            thread.start()
            threading.Event().wait(turn / 8000)
        thread.join()
        for each in connected:
            each.close()
    gc.collect()  # what is not closed warns when it is collected, and warnings are errors
