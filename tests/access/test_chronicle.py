"""Writing the trail: order, outages, floods, and where else entries go."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from app import errors
from app.access import shipping, trail
from app.access.chronicle import Chronicle
from app.access.ledger import Entry
from app.access.ledger_sql import SqlLedger
from app.access.options import AuditOptions
from app.access.shipping import Place
from app.access.upkeep import LastUses
from tests.access.ledgers import opened
from tests.contracts.ledger import ENTRY, NOW, TOKEN, all_of

FAILED = replace(ENTRY, action="auth.login.fail", actor=None, target="", outcome="refused")
SECRET = "a key that both sides know"


class Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Interrupted:
    """A trail whose database is away for a while."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._kept = ledger.trail
        self.down = False

    async def append(self, entry: Entry) -> Entry:
        if self.down:
            raise errors.AccessUnavailable("The ledger does not answer.")
        return await self._kept.append(entry)

    def entries(
        self, *, after: int = 0, limit: int | None = None, **equal: str
    ) -> AsyncIterator[Entry]:
        return self._kept.entries(after=after, limit=limit, **equal)


async def exists(name: str) -> bool:
    """Only alice does."""
    return name == "alice"


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqlLedger]:
    """A ledger in SQLite."""
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/ledger.db") as ledger:
        yield ledger


async def test_an_outage_loses_no_entry(
    ledger: SqlLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """What was done while the ledger was away is in the log, and in the trail once it is back."""
    kept = Interrupted(ledger)
    chronicle = Chronicle(kept, exists=exists)
    kept.down = True
    await chronicle.append(ENTRY)
    assert await all_of(ledger) == []
    assert '"action":"token.create"' in caplog.text
    with pytest.raises(errors.AccessUnavailable):
        await chronicle.flush()
    kept.down = False
    await chronicle.flush()
    await chronicle.flush()
    assert [entry.action for entry in await all_of(ledger)] == ["token.create"]


async def test_t34_a_flood_of_refusals_does_not_fill_the_trail(ledger: SqlLedger) -> None:
    """So many a minute are written one by one, and of the others how many there were."""
    clock = Clock()
    chronicle = Chronicle(ledger.trail, exists=exists, failures=5, clock=clock)
    for _ in range(1000):
        chronicle.note(FAILED)
    for _ in range(20):
        chronicle.note(replace(FAILED, action="authz.denied"))
    await chronicle.flush()
    assert len(await all_of(ledger)) == 5
    clock.now = 61.0
    await chronicle.flush()
    counted = {e.action: e.after for e in await all_of(ledger) if e.outcome == "counted"}
    assert counted == {"auth.login.fail": {"more": 995}, "authz.denied": {"more": 20}}
    chronicle.note(FAILED)
    await chronicle.flush()
    assert len(await all_of(ledger)) == 8


async def test_counts_are_written_at_the_end(ledger: SqlLedger) -> None:
    """A service that ends within the minute leaves no count behind."""
    chronicle = Chronicle(ledger.trail, exists=exists, failures=1)
    chronicle.note(FAILED)
    chronicle.note(FAILED)
    await chronicle.flush(last=True)
    assert [entry.outcome for entry in await all_of(ledger)] == ["refused", "counted"]


async def test_t23_what_was_typed_for_a_name_may_be_a_password(ledger: SqlLedger) -> None:
    """The name that a failed login was for is kept only where somebody is called so."""
    chronicle = Chronicle(ledger.trail, exists=exists)
    for typed in ("alice", "Tr0ub4dor&3", "correcthorse"):
        chronicle.note(FAILED, typed)
    await chronicle.flush()
    assert [entry.target for entry in await all_of(ledger)] == ["user:alice", "user:?", "user:?"]


@pytest.mark.parametrize(
    ("addresses", "kept"),
    [
        ("full", ["10.1.2.3", "2001:db8:1:2:3::4", ""]),
        ("network", ["10.1.2.0/24", "2001:db8:1:2::/64", ""]),
        ("none", ["", "", ""]),
    ],
)
async def test_how_much_of_an_address_is_kept(
    ledger: SqlLedger, addresses: str, kept: list[str]
) -> None:
    """All of it, its network, or nothing, as the settings say."""
    chronicle = Chronicle(ledger.trail, exists=exists, addresses=addresses)  # type: ignore[arg-type]
    for address in ("10.1.2.3", "2001:db8:1:2:3::4", ""):
        await chronicle.append(replace(ENTRY, address=address))
    assert [entry.address for entry in await all_of(ledger)] == kept


async def test_last_uses_are_written_once_a_minute(ledger: SqlLedger) -> None:
    """However often a token is used, its row is written once a minute, and never in between."""
    await ledger.tokens.add(TOKEN)
    uses = LastUses(ledger.tokens)
    for second in range(50):
        uses(TOKEN.id, NOW + timedelta(seconds=second))
    found = await ledger.tokens.find(TOKEN.id)
    assert found is not None
    assert found.last_used is None
    await uses.flush()
    found = await ledger.tokens.find(TOKEN.id)
    assert found is not None
    assert found.last_used == NOW
    uses(TOKEN.id, NOW + timedelta(seconds=61))
    await uses.flush()
    found = await ledger.tokens.find(TOKEN.id)
    assert found is not None
    assert found.last_used == NOW + timedelta(seconds=61)


# Elsewhere


class Hook(HTTPServer):
    """A server that keeps what is posted to it, and answers what it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hooked)
        self.answers: list[int] = []
        self.posted: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}/hook?for=audit"

    def actions(self) -> list[str]:
        """What arrived, in order."""
        lines = b"".join(body for _, body in self.posted).splitlines()
        return [json.loads(line)["action"] for line in lines]


class _Hooked(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.answers.pop(0) if self.server.answers else 204
        if status == 204:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.server.posted.append(({**headers, "path": self.path}, body))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def hook() -> Iterator[Hook]:
    """A webhook on loopback."""
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


async def settled(condition: object, *, seconds: float = 60.0) -> None:
    """Wait until it holds."""
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def numbered(*actions: str) -> list[Entry]:
    """Entries as the trail gives them back."""
    return [trail.sealed(replace(ENTRY, action=action), n, "") for n, action in enumerate(actions)]


async def test_the_webhook_gets_signed_lines() -> None:
    """What is posted is JSON lines with a signature over time and body that the key explains."""
    with hook() as server:
        options = AuditOptions(webhook=server.url, webhook_secret=SecretStr(SECRET))
        async with shipping.shipping(shipping.places(options)) as ship:
            for entry in numbered("one", "two"):
                ship(entry)
            await settled(lambda: server.actions() == ["one", "two"])
    headers, body = server.posted[0]
    signed = f"{headers['x-pypicloud-timestamp']}.".encode() + body
    expected = hmac.digest(SECRET.encode(), signed, hashlib.sha256).hex()
    assert headers["x-pypicloud-signature"] == f"sha256={expected}"
    assert headers["content-type"] == "application/x-ndjson"
    assert headers["path"] == "/hook?for=audit"


async def test_a_webhook_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """Errors and redirects are no receipt; nothing is lost or out of order, and the log says it."""
    with hook() as server:
        server.answers = [500, 302, 429]
        options = AuditOptions(webhook=server.url)
        async with shipping.shipping(shipping.places(options), pauses=[0.01]) as ship:
            for entry in numbered(*map(str, range(250))):
                ship(entry)
            await settled(lambda: len(server.actions()) == 250)
    assert server.actions() == [str(n) for n in range(250)]
    assert "the webhook at 127.0.0.1 does not take entries" in caplog.text
    assert "x-pypicloud-signature" not in server.posted[0][0]


async def test_what_waits_is_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A place that is away for long misses entries, the log says how many, nobody waits."""
    monkeypatch.setattr(shipping, "QUEUE", 10)
    monkeypatch.setattr(shipping, "LAST", 0.1)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        options = AuditOptions(webhook=f"http://127.0.0.1:{nobody.getsockname()[1]}/")
        with caplog.at_level(logging.ERROR):
            async with shipping.shipping(shipping.places(options), pauses=[0.01]) as ship:
                for entry in numbered(*map(str, range(100))):
                    ship(entry)
                await settled(lambda: "90 were left out" in caplog.text)


@pytest.mark.parametrize("scheme", ["udp", "unix", "tcp"])
async def test_syslog(scheme: str, tmp_path: Path) -> None:
    """Each entry is a message of RFC 5424, facility log audit, that ends in its JSON."""
    kind = socket.SOCK_STREAM if scheme == "tcp" else socket.SOCK_DGRAM
    family = socket.AF_UNIX if scheme == "unix" else socket.AF_INET
    with socket.socket(family, kind) as server:
        server.settimeout(30)
        server.bind(str(tmp_path / "log") if scheme == "unix" else ("127.0.0.1", 0))
        if scheme == "tcp":
            server.listen()
        where = str(tmp_path / "log") if scheme == "unix" else ""
        address = f"unix:{where}" if where else f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        async with shipping.shipping(shipping.places(AuditOptions(syslog=address))) as ship:
            (entry,) = numbered("one")
            ship(entry)
            received = await asyncio.to_thread(_receive, server, scheme)
    if scheme == "tcp":
        length, _, received = received.partition(b" ")
        assert int(length) == len(received)
    head, _, body = received.partition(b" audit - ")
    assert head.startswith(f"<109>1 {NOW.isoformat()} ".encode())
    assert b" pypicloud " in head
    assert body == trail.packed(entry)


def _receive(server: socket.socket, scheme: str) -> bytes:
    if scheme != "tcp":
        return server.recv(65536)
    connected, _ = server.accept()
    with connected:
        received = b""
        while chunk := connected.recv(65536):
            received += chunk
        return received


async def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Each entry is one line of JSON."""
    entries = numbered("one", "two")
    async with shipping.shipping(shipping.places(AuditOptions(stdout=True))) as ship:
        for entry in entries:
            ship(entry)
    lines = capfdbinary.readouterr().out.splitlines()
    assert lines == [trail.packed(entry) for entry in entries]


async def test_a_place_that_hangs_holds_up_nobody() -> None:
    """While one place does not answer, the others get what is written, and so does the trail."""
    free = threading.Event()

    class Hanging:
        name = "somewhere"

        def send(self, lines: object) -> None:
            free.wait(30)

    with hook() as server:
        places: list[Place] = [Hanging(), *shipping.places(AuditOptions(webhook=server.url))]
        with suppress(TimeoutError):
            async with shipping.shipping(places) as ship:
                ship(*numbered("one"))
                await settled(lambda: server.actions() == ["one"])
                free.set()


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook": "http://hook.example/"},
        {"webhook": "ftp://hook.example/"},
        {"syslog": "log.example:514"},
        {"addresses": "some"},
        {"failures": 0},
    ],
    ids=str,
)
def test_where_entries_cannot_go(wrong: dict[str, object]) -> None:
    """A webhook beyond this machine is https; a syslog has a scheme."""
    with pytest.raises(errors.Misconfigured):
        AuditOptions.of(wrong)
