"""A connection to the directory: ours on the network, libldap's on a pair of sockets.

libldap cannot bound the time of a TLS handshake where it was built with GnuTLS, and verifies
certificates by settings of the whole process. So names, connections, StartTLS and TLS are
asyncio's and ssl's, each within the time that the caller gives; libldap speaks the protocol
to one end of a pair of sockets, in a thread that ends when the other end is closed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import ldap

T = TypeVar("T")

PIECE = 1 << 16
"""Bytes passed on at a time."""

# RFC 4511, section 4.14: message 1, an extended request with the name 1.3.6.1.4.1.1466.20037.
_START_TLS = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
# The answer begins as message 1, an extended response; then comes its result code.
_EXTENDED = 0x78
_LONGEST_ANSWER = 4096


class Unreached(Exception):
    """There is no connection, or none that can be trusted. The text ends a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the directory is. ``tls`` None: nothing is encrypted."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    start_tls: bool


async def converse(
    place: Place, threads: ThreadPoolExecutor, work: Callable[[Any], T], *, timeout: float
) -> T:
    """What ``work`` returns, run in a thread with a fresh LDAPObject of python-ldap.

    ``timeout`` is in seconds, for all of it. Raises Unreached, and what ``work`` raises.
    """
    try:
        async with asyncio.timeout(timeout), _bridged(place) as descriptor:
            return await asyncio.get_running_loop().run_in_executor(
                threads, _with_libldap, descriptor, work, timeout
            )
    except TimeoutError:
        raise Unreached(f"did not answer within {timeout:g} s") from None
    except ssl.SSLCertVerificationError as error:
        said = f"shows a certificate that cannot be verified ({error.verify_message})"
        raise Unreached(said) from None
    except (OSError, EOFError) as error:
        raise Unreached(f"cannot be reached ({type(error).__name__})") from None


def _with_libldap(descriptor: int, work: Callable[[Any], T], timeout: float) -> T:
    connection = ldap.initialize("ldap://directory", fileno=descriptor)
    try:
        connection.set_option(ldap.OPT_PROTOCOL_VERSION, ldap.VERSION3)
        connection.set_option(ldap.OPT_REFERRALS, ldap.OPT_OFF)
        connection.timeout = timeout
        return work(connection)
    finally:
        with suppress(ldap.LDAPError):  # the other end may be gone
            connection.unbind_ext_s()


@asynccontextmanager
async def _bridged(place: Place) -> AsyncIterator[int]:
    """A descriptor, to be closed by whoever takes it, with the directory behind it."""
    reader, writer = await _connected(place)
    ours, theirs = socket.socketpair()
    pumps: list[asyncio.Task[None]] = []
    inner: asyncio.StreamWriter | None = None
    try:
        ours.setblocking(False)
        inner_reader, inner = await asyncio.open_connection(sock=ours)
        pumps += [
            asyncio.create_task(_pump(reader, inner)),
            asyncio.create_task(_pump(inner_reader, writer)),
        ]
        yield theirs.detach()
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        if inner is None:
            ours.close()
        else:
            inner.close()
        theirs.close()
        writer.transport.abort()


async def _connected(place: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    implicit = place.tls if not place.start_tls else None
    reader, writer = await asyncio.open_connection(
        place.host,
        place.port,
        ssl=implicit,
        server_hostname=place.host if implicit else None,
    )
    if place.start_tls and place.tls is not None:
        try:
            writer.write(_START_TLS)
            await _granted(reader)
            await writer.start_tls(place.tls, server_hostname=place.host)
        except BaseException:
            writer.transport.abort()
            raise
    return reader, writer


async def _granted(reader: asyncio.StreamReader) -> None:
    """Read the whole answer to StartTLS; nothing may follow it in the clear."""
    tag, first = await reader.readexactly(2)
    size = first
    if first & 0x80:
        size = int.from_bytes(await reader.readexactly(min(first & 0x7F, 4)), "big")
    if tag != 0x30 or size > _LONGEST_ANSWER:
        raise Unreached("does not speak LDAP")
    body = await reader.readexactly(size)
    if body[:4] != b"\x02\x01\x01" + bytes([_EXTENDED]):
        raise Unreached("does not answer StartTLS")
    extended = body[5 + (body[4] & 0x7F if body[4] & 0x80 else 0) :]
    if extended[:3] != b"\x0a\x01\x00":
        raise Unreached("refuses StartTLS")


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    except OSError:
        return  # whoever waits for an answer sees that the connection ended
    finally:
        writer.close()
