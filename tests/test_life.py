"""The end of a process: readiness goes first, and nobody's request is lost."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import httpx
from pydantic import SecretStr

from app import config
from app.config import Settings
from tests.processes import running
from tests.serving import read_answer

ROOT = Path(__file__).parent.parent
DRAIN = 4.0


def test_readiness_goes_first_and_everything_is_answered_meanwhile(tmp_path: Path) -> None:
    """After SIGTERM it is not ready, answers as before, keeps no connection, and then ends."""
    with running(tmp_path, DRAIN=f"{DRAIN} s") as server:
        request = b"GET /simple/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=60) as kept,
            httpx.Client(base_url=server.url, trust_env=False, timeout=60, verify=False) as client,
        ):
            for _ in range(3):  # so that the answer is a hot one
                kept.sendall(request)
                before = read_answer(kept)
            assert "connection" not in before.headers
            server.process.terminate()
            told = time.monotonic()
            answer = client.get("/health/ready")
            while answer.status_code == 200 and time.monotonic() < told + DRAIN:
                answer = client.get("/health/ready")
            assert answer.status_code == 503
            assert answer.json()["status"] == "ending"
            assert answer.json()["parts"]["process"] == "ending"
            assert client.get("/health/live").status_code == 200
            kept.sendall(request)
            after = read_answer(kept)
            assert (after.status, after.body) == (200, before.body)
            assert after.headers["connection"] == "close"
            assert kept.recv(1) == b""
        server.process.wait(timeout=60)
        assert time.monotonic() - told >= DRAIN - 0.5


def test_a_second_sigterm_waits_for_nothing(tmp_path: Path) -> None:
    """Whoever insists is not made to wait for the drain."""
    with (
        running(tmp_path, DRAIN="5 min") as server,
        httpx.Client(trust_env=False, timeout=60, verify=False) as client,
    ):
        server.process.terminate()
        while client.get(f"{server.url}/health/ready").status_code == 200:
            time.sleep(0.05)
        server.process.terminate()
        server.process.wait(timeout=60)


def test_by_default_nothing_is_waited_for() -> None:
    """The drain is for services behind balancers."""
    assert Settings(admin_password=SecretStr("x" * 12)).drain == timedelta(0)
    assert config.variable("drain") == "PYPICLOUD_DRAIN"


def test_signals_are_as_before_afterwards() -> None:
    """Whoever embeds the application gets the handlers back, and calls ours in between."""
    script = """
import asyncio, signal
from datetime import timedelta
from app.life import Life, minding
seen = []
signal.signal(signal.SIGTERM, lambda *given: seen.append(given[0]))
before = signal.getsignal(signal.SIGTERM)
async def main():
    life = Life()
    life.tell(lambda: seen.append("told"))
    with minding(life, drain=timedelta(seconds=0.1)):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert life.draining and seen == ["told"], seen
        await asyncio.sleep(0.3)
        assert seen == ["told", signal.SIGTERM], seen
    assert signal.getsignal(signal.SIGTERM) is before
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60, check=True)
