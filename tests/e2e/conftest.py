"""The running indexes, and the sandbox that a client runs in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.sandbox import Sandbox, Tripwire, stretch_tripwire
from tests.e2e.server import Server, serve


@pytest.fixture(scope="session")
def open_index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An index that everyone may read; every test has project names of its own."""
    with serve(tmp_path_factory.mktemp("open"), read="everyone") as server:
        yield server


@pytest.fixture(scope="session")
def private_index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An index that only its users may read; every test has project names of its own."""
    with serve(tmp_path_factory.mktemp("private"), read="authenticated") as server:
        yield server


@pytest.fixture(scope="session")
def session_tripwire() -> Iterator[Tripwire]:
    """One listener for all tests of a process."""
    with stretch_tripwire() as tripwire:
        yield tripwire


@pytest.fixture
def sandbox(tmp_path: Path, session_tripwire: Tripwire) -> Iterator[Sandbox]:
    """A sandbox of the test's own; fails the test if a client asked anybody but the index."""
    session_tripwire.touched.clear()
    yield Sandbox(tmp_path, session_tripwire)
    assert not session_tripwire.touched, f"a client went elsewhere: {session_tripwire.touched}"
