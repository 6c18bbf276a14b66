"""How long these tests try: a seeded sample, or with ``--soak`` all there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ulid import ULID

from tests.invariants.sea import Sea
from tests.invariants.server import ROOT, Server
from tests.servers import s3
from tests.servers.faults import between


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--soak``: every point, every round."""
    parser.addoption("--soak", action="store_true", help="try the invariants at full length")


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether these tests may take long."""
    # Where other tests run as well, this file is read after the command line.
    return bool(request.config.getoption("soak", default=False))


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Servers, not yet started, each of them gone at the end; arguments as Server takes them."""
    made: list[Server] = []

    def make(folder: str = ".", *, tree: Path = ROOT, **settings: str) -> Server:
        server = Server(tmp_path / folder, tree=tree, **settings)
        made.append(server)
        return server

    yield make
    for server in made:
        server.close()
    for server in made:
        assert not server.log_file.exists() or "Traceback" not in server.log, server.log


@pytest.fixture
def sea() -> Iterator[Sea]:
    """A prefix of an object store's bucket, behind a proxy."""
    store = s3.seaweed()
    with between(int(store.endpoint_url.rpartition(":")[2])) as proxy:
        yield Sea(store, proxy, str(ULID()))
