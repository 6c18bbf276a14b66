"""The services that these tests share; each test has projects of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.site import Site, serving


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An index that everyone may read, in the strict profile."""
    with serving(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="session")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An index that only users may read."""
    with serving(tmp_path_factory.mktemp("closed"), DEFAULT_READ="authenticated") as running:
        yield running


@pytest.fixture(scope="session")
def importing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An index in the import profile."""
    with serving(tmp_path_factory.mktemp("importing"), UPLOAD_PROFILE="import") as running:
        yield running
