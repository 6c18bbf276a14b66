"""Answers of upstreams, as the wire brings them: what is believed, and where patience ends."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable

import pytest

from app import errors
from app.upstream import wire
from tests.upstream.sockets import ANSWER, body, client_of, heads, serving

PACKED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def packed(content: bytes) -> bytes:
    """An answer with this body, which says that it is packed."""
    return PACKED % (len(content), content)


async def answered(sent: bytes) -> tuple[bytes, dict[str, str]]:
    """The body of an answer, and what its head says."""

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        await anext(heads(reader))
        writer.write(sent)

    async with serving(serve) as (client, _), client.get(f"{client.base}/demo/") as reply:
        return await reply.body(limit=1 << 20), reply.headers


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n" + ANSWER, id="103"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + ANSWER, id="100"),
        pytest.param(packed(gzip.compress(b"fi") + gzip.compress(b"ne")), id="two members"),
        pytest.param(packed(gzip.compress(b"fine") + b"\0" * 512), id="padded"),
        pytest.param(
            CHUNKED + b"4;a=b\r\nfine\r\n0\r\nContent-Encoding: br\r\nETag: x\r\n\r\n",
            id="trailers",
        ),
    ],
)
async def test_an_unusual_answer_is_understood(sent: bytes) -> None:
    """What is said before an answer, or behind it, is not the answer."""
    content, headers = await answered(sent)
    assert content == b"fine"
    assert not headers.keys() & {"etag", "link"}


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(packed(gzip.compress(b"fine") + b"and more"), id="more behind a gzip"),
        pytest.param(packed(gzip.compress(b"fine") * 100), id="too many members"),
        pytest.param(packed(gzip.compress(b"fine")[:-4]), id="cut"),
        pytest.param(packed(b""), id="nothing of a gzip"),
        pytest.param(packed(gzip.compress(b"\0" * 700_000) * 2), id="bomb of two members"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000 + ANSWER, id="continues for ever"),
        pytest.param(CHUNKED + b"4\r\nfine\r\n0\r\n" + b"X: y\r\n" * 99_999, id="endless trailers"),
        pytest.param(CHUNKED + b"4;" + b"x" * 599_999, id="endless extension"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nfine", id="101"),
    ],
)
async def test_an_answer_that_cannot_be_believed_is_none(sent: bytes) -> None:
    """Whatever of it looks right."""
    with pytest.raises(errors.Unreachable):
        await answered(sent)


async def _each(content: bytes, pause: float) -> AsyncIterator[bytes]:
    for byte in content:
        await asyncio.sleep(pause)
        yield bytes([byte])


@pytest.mark.parametrize(
    "drops", [lambda: _each(b"x" * 500, 0.1), lambda: _each(b"X: y\r\n" * 99, 0.1)]
)
async def test_who_drips_is_not_waited_for(
    drops: Callable[[], AsyncIterator[bytes]],
) -> None:
    """A byte now and then is no progress: two seconds may pass until some came."""

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        await anext(heads(reader))
        writer.write(CHUNKED + (b"1ff\r\n" if number == 1 else b"0\r\n"))
        async for drop in drops():
            writer.write(drop)
            await writer.drain()

    async with serving(serve) as (client, _):
        began = time.monotonic()
        with pytest.raises(errors.Unreachable):
            await body(client, "/demo/")
        assert time.monotonic() - began < 10


async def test_a_page_is_waited_for_no_longer_than_some_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However steadily it comes."""
    monkeypatch.setattr(wire, "TURNS", 0.5)

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        await anext(heads(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n")
        for _ in range(100):
            writer.write(b"x" * 2000)
            await writer.drain()
            await asyncio.sleep(0.1)

    async with serving(serve) as (client, _):
        began = time.monotonic()
        with pytest.raises(errors.Unreachable):
            await body(client, "/demo/")
        assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    ("location", "reached"),
    [(b"/simple/other/#there", True), (b"/simple/demo/", False), (b"http://a:b@x/", False),
     (b"https://elsewhere.example/", False), (b"\xe9", False), (b"", False)],
)  # fmt: skip
async def test_where_a_redirect_leads_says_nothing_of_the_upstream(
    location: bytes, reached: bool
) -> None:
    """One project whose page leads astray shuts off no other, however often it is asked for."""

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        async for head in heads(reader):
            fine = b"/other/" in head
            writer.write(
                ANSWER if fine else b"HTTP/1.1 302 Found\r\nLocation: %b\r\n"
                b"Content-Length: 0\r\n\r\n" % location
            )  # fmt: skip

    async with serving(serve) as (client, _):
        for _ in range(8):
            if reached:
                assert await body(client, "/demo/") == b"fine"
            else:
                with pytest.raises(errors.Unreachable, match=r"leads|redirects"):
                    await body(client, "/demo/")
        assert await body(client, "/other/") == b"fine"


@pytest.mark.parametrize(
    ("host", "url", "permitted"),
    [
        ("files.example", "https://files.example/f", True),
        ("files.example", "https://files.example:8443/f", False),
        ("files.example:8443", "https://files.example:8443/f", True),
        ("*.example", "https://a.example/f", True),
        ("*.example", "https://a.example:22/f", False),
        ("*.example", "https://example/f", False),
        ("*.example:8443", "https://a.example:8443/f", True),
        ("*.example:8443", "https://a.example/f", False),
        ("*", "https://a.example:8443/f", True),
        ("*", "http://127.0.0.1:1/f", False),
        ("*", "http://localhost:1/f", False),
        ("*", "https://10.0.0.1/f", False),
        ("*", "https://169.254.169.254/f", False),
        ("*", "https://[fd00::1]/f", False),
        ("*", "https://9.9.9.9/f", True),
    ],
)
def test_which_hosts_may_be_asked(host: str, url: str, permitted: bool) -> None:
    """At the usual port, or at the one that the setting names."""
    client = client_of("https://upstream.example/simple/", hosts=(host,))
    assert client.permits(url) is permitted
