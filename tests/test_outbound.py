"""The client for other services goes where it is sent, and nowhere else."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from app import errors
from app.outbound import Outbound, target
from tests.servers import issuer as issuers

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/keys",
        "http://127.0.0.1.example/keys",
        "http://10.0.0.1/",
        "http://127.0.0.2/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://user:password@issuer.example/",
        "https://issuer.example@evil.example/",
        "https://issuer.example/#x",
        "https:///keys",
        "https://issuer.example:99999/",
        "https://issuer.example/a b",
        "https://issuer.example/\r\nHost: evil",
        "https://ïssuer.example/",
        "https://[::1",
        "//issuer.example/",
        "",
    ],
)
async def test_a_url_that_may_not_be_asked_is_refused(url: str) -> None:
    """https, or http on loopback; without user, fragment and blanks."""
    with pytest.raises(ValueError, match=r"[a-z]"):
        target(url)
    with pytest.raises(errors.Unreachable):
        await Outbound().get(url)


def test_a_url_in_its_parts() -> None:
    """The port is the scheme's own where none is named; a query belongs to the path."""
    found = target("https://Issuer.example/keys?x=1")
    assert found.origin == ("https", "issuer.example", 443)
    assert (found.path, found.authority, found.local) == ("/keys?x=1", "issuer.example", False)
    assert target("http://[::1]:8080").authority == "[::1]:8080"
    assert target("http://localhost:8080").local


@pytest.mark.parametrize(
    "host",
    [
        *("10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("[fd00::1]", "[fe80::1]", "[::ffff:10.0.0.1]", "[::ffff:127.0.0.1]", "224.0.0.1"),
        *("2130706433", "0x7f000001", "127.1", "[::]"),
        *("[64:ff9b::a9fe:a9fe]", "[64:ff9b::7f00:1]", "[2002:7f00:1::1]", "[2002:a9fe:a9fe::1]"),
        *("[::127.0.0.1]", "[::ffff:0:10.0.0.1]", "[64:ff9b:1::7f00:1]", "[fec0::1]", "[2001::1]"),
    ],
)
async def test_an_address_that_is_not_public_is_not_connected_to(host: str) -> None:
    """Cloud metadata, private networks, loopback in disguise: refused before any connection."""
    with pytest.raises(errors.Unreachable, match=r"not public|write it|gaierror"):
        await Outbound(timeout=1).get(f"https://{host}/")


@pytest.mark.parametrize("host", ["[64:ff9b::909:909]", "[2002:909:909::1]", "9.9.9.9"])
async def test_a_public_address_behind_a_translation_is_public(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Networks of IPv6 alone reach the others so."""
    reached: list[str] = []

    async def connect(host: str, *rest: object, **named: object) -> object:
        reached.append(host)
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio, "open_connection", connect)
    with pytest.raises(errors.Unreachable, match="ConnectionRefusedError"):
        await Outbound(timeout=1).get(f"https://{host}/")
    assert reached == [host.strip("[]")]


@contextmanager
def resolving(monkeypatch: pytest.MonkeyPatch, *answers: str) -> Iterator[list[str]]:
    """The system's resolver says these addresses, one after the other."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, *rest: object, **named: object) -> object:
        if host != "issuer.example":
            return real(host, *rest, **named)  # type: ignore[arg-type]
        asked.append(host)
        address = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, rest[0]))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield asked


async def test_a_name_is_resolved_once_and_that_address_is_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that points to us, at once or the second time it is asked for, opens nothing."""
    with issuers.tripwire() as (url, touched):
        port = target(url).port
        with (
            resolving(monkeypatch, "127.0.0.1"),
            pytest.raises(errors.Unreachable, match="not public"),
        ):
            await Outbound(timeout=2).get(f"https://issuer.example:{port}/")
        with resolving(monkeypatch, "203.0.113.1", "127.0.0.1") as asked:
            with pytest.raises(errors.Unreachable):
                await Outbound(timeout=0.5).get(f"https://issuer.example:{port}/")
            assert asked == ["issuer.example"]
        assert touched == []


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the variables point, the service itself is asked."""
    with issuers.tripwire() as (proxy, touched), issuers.running() as issuer:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy)
            monkeypatch.setenv(name.upper(), proxy)
        answer = await Outbound().get(f"{issuer.url}{issuers.JWKS}")
        assert answer.status == 200
        assert touched == []


class _Secure(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.headers["Host"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that do not trust it hang up."""


@contextmanager
def secure(authority: trustme.CA, *names: str) -> Iterator[int]:
    """A TLS server with a certificate for these names; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    server = _Quiet(("127.0.0.1", 0), _Secure)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_certificates_are_verified_for_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of the URL counts, not the address; an unknown authority is none."""
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with (
        secure(authority, "issuer.example") as port,
        resolving(monkeypatch, "127.0.0.1"),
        secure(authority, "another.example") as other,
    ):
        url = f"https://issuer.example:{port}/"
        trusting = Outbound(networks=[LOOPBACK], context=context)
        assert (await trusting.get(url)).body == f"issuer.example:{port}".encode()
        with pytest.raises(errors.Unreachable, match="SSLCert"):
            await trusting.get(f"https://issuer.example:{other}/")
        with pytest.raises(errors.Unreachable, match="SSLCert"):
            await Outbound(networks=[LOOPBACK]).get(url)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    ],
)
async def test_an_answer_that_is_not_whole_is_none(answer: bytes) -> None:
    """Whatever comes from the other side ends in one error."""
    with talking(answer) as url, pytest.raises(errors.Unreachable):
        await Outbound(timeout=5).get(url)


async def test_an_answer_may_end_with_the_connection() -> None:
    """HTTP/1.0 knows no other end."""
    with talking(b"HTTP/1.0 200 OK\r\n\r\nall of it") as url:
        assert (await Outbound().get(url)).body == b"all of it"


@contextmanager
def talking(answer: bytes) -> Iterator[str]:
    """A server that says this to whoever connects, once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                try:
                    connection.sendall(answer)
                except OSError:  # the client has heard enough
                    return

        thread = threading.Thread(target=talk)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join()
