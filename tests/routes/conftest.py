"""Indexes to read from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.access.oidc.bench import github
from tests.routes.publishing import AUDIENCE, Index, made_settings, running
from tests.routes.stage import Stage, opened
from tests.servers import issuer as issuers
from tests.servers.issuer import Issuer


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """An index that everyone may read."""
    async with opened(tmp_path, "everyone") as stage:
        yield stage


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[Stage]:
    """An index that everybody who is known may read."""
    async with opened(tmp_path, "authenticated") as stage:
        yield stage


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer with one key, where ``octo/spam`` is built."""
    with issuers.running() as found:
        found.build = github(aud=AUDIENCE)
        yield found


@pytest.fixture
def index(tmp_path: Path, issuer: Issuer) -> Iterator[Index]:
    """A service that knows the issuer."""
    with running(made_settings(tmp_path, issuer), issuer) as index:
        yield index
