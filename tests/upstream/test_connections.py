"""Connections to an upstream: kept where that is safe, and asked anew where one had ended."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from app import errors
from app.outbound import Target
from app.upstream import connections
from app.upstream.connections import Connection, Connections
from tests.servers import upstream as upstreams
from tests.upstream.sockets import ANSWER, body, client_of, heads, serving


async def test_one_connection_carries_one_question_after_the_other() -> None:
    """Also where the answer is an error that was read to its end."""

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        async for head in heads(reader):
            assert b"Connection: keep-alive\r\n" in head
            missing = b"/missing/ " in head
            writer.write(ANSWER.replace(b"200 OK", b"404 Not Found") if missing else ANSWER)

    async with serving(serve) as (client, came):
        for path in ("/one/", "/missing/", "/two/"):
            assert await body(client, path) == b"fine"
        assert came == [1]


async def test_many_at_once_have_connections_of_their_own() -> None:
    """No more of them are kept than one origin may have."""
    many = connections.MOST + 4
    turns = [asyncio.Event() for _ in range(2)]
    asked: list[int] = []

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        async for _ in heads(reader):
            turn = turns[len(asked) // many]
            asked.append(number)
            if len(asked) % many == 0:
                turn.set()
            await turn.wait()
            writer.write(ANSWER)

    async with serving(serve) as (client, came):
        for _ in range(2):
            await asyncio.gather(*(body(client, "/one/") for _ in range(many)))
        assert len(came) == many + 4


async def test_one_that_ended_meanwhile_is_no_failure() -> None:
    """Whether that is known before the question goes out, or only after it."""

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        await anext(heads(reader))
        writer.write(ANSWER)
        if number % 2:
            return  # closed at once
        await anext(heads(reader))  # closed instead of an answer

    async with serving(serve) as (client, came):
        for _ in range(4):
            assert await body(client, "/one/") == b"fine"
            await asyncio.sleep(0.05)
        assert client.counts["failed"] == 0
        assert len(came) == 4


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(ANSWER + b"HTTP/1.1 200 OK\r\n", id="more behind it"),
        pytest.param(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), id="close"),
        pytest.param(ANSWER.replace(b"1.1", b"1.0"), id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nfine", id="no length"),
    ],
)
async def test_one_that_may_not_go_on_is_not_kept(sent: bytes) -> None:
    """What stands behind an answer is nobody's."""

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        await anext(heads(reader))
        writer.write(sent)

    async with serving(serve) as (client, came):
        for _ in range(2):
            assert await body(client, "/one/") == b"fine"
        assert came == [1, 2]


async def test_what_comes_unasked_is_not_the_next_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said between two questions, on a connection that is kept."""
    monkeypatch.setattr(connections, "IDLE", 60.0)
    kept: list[Connection] = []
    give = Connections.give

    def noting(self: Connections, to: Target, one: Connection) -> None:
        give(self, to, one)
        kept.append(one)

    monkeypatch.setattr(Connections, "give", noting)

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        await anext(heads(reader))
        writer.write(ANSWER)
        while len(kept) < number:
            await asyncio.sleep(0.01)
        writer.write(ANSWER.replace(b"fine", b"evil"))
        await reader.read()

    async with serving(serve) as (client, came):
        for number in range(3):
            assert await body(client, "/one/") == b"fine"
            async with asyncio.timeout(30):
                while kept[number].silent:
                    await asyncio.sleep(0.01)
        assert came == [1, 2, 3]


async def test_a_body_that_is_not_read_takes_its_connection_with_it() -> None:
    """Whoever asked looked at the head alone, and the rest is still to come."""

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        await anext(heads(reader))
        writer.write(ANSWER if number == 3 else ANSWER[:-2])
        await reader.read()

    async with serving(serve) as (client, came):
        for _ in range(2):
            async with client.get(f"{client.base}/one/") as reply:
                assert reply.status == 200
        assert await body(client, "/one/") == b"fine"
        assert came == [1, 2, 3]


async def test_an_answer_that_breaks_off_is_not_asked_for_again() -> None:
    """Neither on a kept connection: it had begun."""

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        await anext(heads(reader))
        writer.write(ANSWER)
        await anext(heads(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")

    async with serving(serve) as (client, came):
        assert await body(client, "/one/") == b"fine"
        with pytest.raises(errors.Unreachable):
            await body(client, "/one/")
        assert came == [1]


async def test_an_idle_one_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a moment; and all of them where the service ends."""
    monkeypatch.setattr(connections, "IDLE", 0.05)
    ended = asyncio.Event()

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        await anext(heads(reader))
        writer.write(ANSWER)
        if not await reader.read():
            ended.set()

    async with serving(serve) as (client, came):
        for _ in range(2):
            assert await body(client, "/one/") == b"fine"
            async with asyncio.timeout(10):
                await ended.wait()
            ended.clear()
        monkeypatch.undo()
        assert await body(client, "/one/") == b"fine"
        client.close()
        async with asyncio.timeout(10):
            await ended.wait()
        assert came == [1, 2, 3]


async def test_credentials_go_with_each_question() -> None:
    """And pages of one upstream, one after the other, over one connection."""
    with upstreams.running(keeps=True, credentials="Bearer a token of ours") as upstream:
        upstream.has("demo")
        client = client_of(upstream.simple, token=SecretStr("a token of ours"))
        for _ in range(3):
            assert b'"demo"' in await body(client, "/demo/")
        client.close()
        assert upstream.connections == 1
        assert len(upstream.asked) == 3
