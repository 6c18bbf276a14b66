"""An upstream, and services that fall back on it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.factories import Made, make_wheel
from tests.routes.site import Site
from tests.servers import upstream as upstreams
from tests.servers.upstream import Upstream
from tests.upstream.sites import site

Start = Callable[..., Site]

NUMBERS = count()
SOAK = bool(os.environ.get("SOAK"))
NOISE = os.urandom((50 if SOAK else 3) * 2**20)


@pytest.fixture(scope="package")
def standing_upstream() -> Iterator[Upstream]:
    """The index that all tests fall back on."""
    with upstreams.running() as found:
        yield found


@pytest.fixture
def upstream(standing_upstream: Upstream) -> Upstream:
    """An index with nothing in it."""
    standing_upstream.reset()
    return standing_upstream


@pytest.fixture(scope="package")
def standing_site(
    tmp_path_factory: pytest.TempPathFactory, standing_upstream: Upstream
) -> Iterator[Site]:
    """A service for all tests that need none of their own."""
    with site(tmp_path_factory.mktemp("standing"), standing_upstream, "cache") as found:
        yield found


@pytest.fixture
def standing(upstream: Upstream, standing_site: Site) -> Site:
    """A service that keeps what it fetches; it knows what other tests had it fetch."""
    return standing_site


@pytest.fixture
def name() -> str:
    """A project that no other test knows."""
    return f"demo{next(NUMBERS)}"


@pytest.fixture
def big(name: str) -> Made:
    """A wheel of it that takes many pieces."""
    return make_wheel(name, "1.0", files={"big.bin": NOISE}, compression=zipfile.ZIP_STORED)


@pytest.fixture
def start(tmp_path: Path, upstream: Upstream) -> Iterator[Start]:
    """Start a service that falls back on ``upstream``; the arguments are settings."""
    with ExitStack() as stack:

        def started(policy: str = "cache", /, **settings: Any) -> Site:
            return stack.enter_context(site(tmp_path, upstream, policy, **settings))

        yield started
