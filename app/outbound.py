"""What we ask of other services: one small HTTP client that goes nowhere else.

https alone, or plain http on loopback; no redirects, no proxies from the environment, the
address checked when it is connected to (a name that resolves anew cannot change it), bounded
bytes and seconds. One request, one connection.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools

from app import errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LIMIT = 256 * 1024
"""Bytes of an answer's body."""
TIMEOUT = 5.0
"""Seconds for all of a request."""
_HEAD = 32 * 1024
_CHUNK = 64 * 1024
_TARGET = re.compile(r"/[!-~]*\Z|\Z")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\Z|[0-9A-Fa-f:.]+\Z")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_STRANGE = tuple(
    map(
        ipaddress.IPv6Network,
        ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "2001::/32", "fec0::/10"),
    )
)
"""Addresses that routers turn into others, of whatever network, and local ones of old times."""
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Target:
    """An URL that may be asked."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def local(self) -> bool:
        """Whether it names this machine."""
        return self.host in _LOCAL

    @property
    def public(self) -> bool:
        """Whether it may be, by its name: an address that is not, or this machine, is not."""
        try:
            return ipaddress.ip_address(self.host).is_global
        except ValueError:
            return not self.local

    @property
    def origin(self) -> tuple[str, str, int]:
        """What two URLs of one service have in common."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """For the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.scheme == "https" else 80)
        return host if usual else f"{host}:{self.port}"


def target(url: str, *, plain: bool = False) -> Target:
    """The parts of a URL; ValueError for one that may not be asked.

    ``plain``: http may go further than loopback.
    """
    if not url.isascii() or any(char <= " " or char == "\x7f" for char in url):
        raise ValueError("a URL has printable ASCII only")
    parts = urlsplit(url)
    host, port = (parts.hostname or "").lower(), parts.port
    if parts.scheme not in ("https", "http") or not _NAME.match(host):
        raise ValueError("write it like 'https://issuer.example.com'")
    if parts.username is not None or parts.fragment or "@" in parts.netloc:
        raise ValueError("a URL here has no user, password or fragment")
    if parts.scheme == "http" and host not in _LOCAL and not plain:
        raise ValueError("plain http is for loopback only")
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    if not _TARGET.match(path):
        raise ValueError("a URL's path begins with a slash")
    return Target(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Outbound:
    """The client. ``networks`` are those beside the public ones that may be connected to."""

    def __init__(
        self,
        *,
        networks: Sequence[Network] = (),
        timeout: float = TIMEOUT,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._networks = tuple(networks)
        self._timeout = timeout
        self._context = context

    async def get(self, url: str, *, limit: int = LIMIT, **headers: str) -> Answer:
        """Ask; raises errors.Unreachable for whatever keeps an answer from coming whole."""
        return await self._ask("GET", url, b"", limit, headers)

    async def post(self, url: str, body: bytes, *, limit: int = LIMIT, **headers: str) -> Answer:
        """The same with a body."""
        return await self._ask("POST", url, body, limit, headers)

    async def _ask(
        self, method: str, url: str, body: bytes, limit: int, headers: Mapping[str, str]
    ) -> Answer:
        try:
            to = target(url)
        except ValueError as wrong:
            raise errors.Unreachable(str(wrong)) from None
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(to, request(method, to, body, headers), limit)
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError) as failed:
            raise errors.Unreachable(f"{to.host}: {type(failed).__name__}") from failed
        except httptools.HttpParserError as failed:
            raise errors.Unreachable(f"{to.host} does not speak HTTP") from failed

    async def _exchange(self, to: Target, sent: bytes, limit: int) -> Answer:
        async with self.connected(to) as (reader, writer):
            writer.write(sent)
            await writer.drain()
            return await _answer(reader, to.host, limit)

    async def connect(self, to: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to whom may be asked, to be closed by its owner.

        Raises what asyncio raises, and errors.Unreachable for an address that may not be
        connected to.
        """
        context = await self._tls() if to.scheme == "https" else None
        return await asyncio.open_connection(
            str(await self._address(to)),
            to.port,
            ssl=context,
            server_hostname=to.host if context else None,
        )

    @asynccontextmanager
    async def connected(
        self, to: Target
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """The same while the block runs."""
        reader, writer = await self.connect(to)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _tls(self) -> ssl.SSLContext:
        if self._context is None:  # reads the authorities' certificates
            self._context = await asyncio.to_thread(ssl.create_default_context)
        return self._context

    async def _address(self, to: Target) -> Address:
        """The address to connect to, and nothing may resolve the name once more."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(to.host, to.port, type=2)
        addresses = [ipaddress.ip_address(str(entry[4][0])) for entry in found]
        for address in addresses:
            if self._permits(address, to):
                return address
        where = ", ".join(map(str, addresses)) or "no address"
        raise errors.Unreachable(
            f"{to.host} is at {where}, which is not public; "
            "PYPICLOUD_OUTBOUND_NETWORKS names networks that may be asked"
        )

    def _permits(self, address: Address, to: Target) -> bool:
        address = _meant(address)
        if to.local:
            return address.is_loopback
        strange = address.is_multicast or any(address in network for network in _STRANGE)
        if address.is_global and not strange:
            return True
        return any(address in network for network in self._networks)


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def request(method: str, to: Target, body: bytes, headers: Mapping[str, str]) -> bytes:
    """The bytes of a request; ``_`` in the names of headers stands for ``-``."""
    sent = {
        "Host": to.authority,
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "pypicloud",
        "Connection": "close",
        **{name.replace("_", "-").title(): value for name, value in headers.items()},
    }
    if method == "POST":
        sent["Content-Length"] = str(len(body))
    lines = [f"{method} {to.path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


class _Reading:
    """What httptools reports of an answer."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, chunk: bytes) -> None:
        self.body += chunk

    def on_message_complete(self) -> None:
        self.complete = True


async def _answer(reader: asyncio.StreamReader, host: str, limit: int) -> Answer:
    reading = _Reading()
    parser = httptools.HttpResponseParser(reading)
    received = 0
    while not reading.complete:
        chunk = await reader.read(_CHUNK)
        if not chunk:
            break
        received += len(chunk)
        # Counted on the wire, so that endless headers or chunks count too.
        if received > limit + _HEAD or len(reading.body) > limit:
            raise errors.Unreachable(f"{host} answers with more than {limit} bytes")
        parser.feed_data(chunk)
    if len(reading.body) > limit:
        raise errors.Unreachable(f"{host} answers with more than {limit} bytes")
    framed = "content-length" in reading.headers or "transfer-encoding" in reading.headers
    if not received or (framed and not reading.complete):
        raise errors.Unreachable(f"{host} broke off its answer")
    if reading.headers.get("content-encoding", "identity") != "identity":
        raise errors.Unreachable(f"{host} answers in a coding that was not asked for")
    return Answer(parser.get_status_code(), reading.headers, bytes(reading.body))
