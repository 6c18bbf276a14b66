"""An issuer on loopback, and what admits its tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.access.ledger import Ledger
from tests.access.ledgers import opened
from tests.access.oidc.bench import Bench
from tests.servers import issuer as issuers
from tests.servers.issuer import Issuer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer with one key."""
    with issuers.running() as running:
        yield running


@pytest.fixture
def tripwire() -> Iterator[str]:
    """A server that nobody may ask; the test fails if anybody does."""
    with issuers.tripwire() as (url, touched):
        yield url
        assert touched == []


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """A ledger in a file."""
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/access.db") as ledger:
        yield ledger


@pytest.fixture
def bench(issuer: Issuer, ledger: Ledger) -> Bench:
    """Admits tokens of the issuer."""
    return Bench(issuer, ledger)
