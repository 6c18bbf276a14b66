"""The list of storages; the contract runs over each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ulid import ULID

from app import plugins
from app.storage.base import Storage
from tests.servers import azurite as azure
from tests.servers import gcs, s3

BACKENDS = ("memory", "file", "gcs_front", "seaweed", "seaweed_tls", "ministack", "azurite")
LASTING = ("file", "gcs_front", "seaweed", "ministack", "azurite")


PATIENT = {"connect_timeout": 30, "read_timeout": 60}
"""Seconds: the machine may hold up a server, or the test itself."""


class Place(NamedTuple):
    """An empty storage of the test's own: what ``connect`` is given. Options are JSON."""

    url: str
    options: Mapping[str, Any] = {}


@pytest.fixture
def memory() -> Place:
    """A storage in memory."""
    return Place("memory:")


@pytest.fixture
def file(tmp_path: Path) -> Place:
    """A folder that does not exist yet."""
    return Place(f"file:{tmp_path}/storage")


@pytest.fixture
def seaweed() -> Place:
    """A prefix in a bucket of SeaweedFS."""
    return Place(f"s3://{s3.BUCKET}/{ULID()}", s3.seaweed().options | PATIENT)


@pytest.fixture
def seaweed_tls() -> Place:
    """The same, over TLS."""
    return Place(f"s3://{s3.BUCKET}/{ULID()}", s3.seaweed(tls=True).options | PATIENT)


@pytest.fixture
def ministack() -> Place:
    """A prefix in a bucket of ministack."""
    return Place(f"s3://{s3.BUCKET}/{ULID()}", s3.ministack().options | PATIENT)


@pytest.fixture
def gcs_front() -> Place:
    """A prefix in a bucket of a strict Google Cloud Storage."""
    return Place(f"gs://{gcs.BUCKET}/{ULID()}", gcs.gcs().options | PATIENT)


@pytest.fixture
def azurite() -> Place:
    """A prefix in a container of Azurite."""
    return Place(f"azure://{azure.CONTAINER}/{ULID()}", azure.azurite().options | PATIENT)


@pytest.fixture(params=BACKENDS)
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """Every storage in turn, empty; add yours to the list."""
    place: Place = request.getfixturevalue(request.param)
    async with plugins.backend("storage", place.url)(place.url, place.options) as found:
        yield found


@pytest.fixture(params=LASTING)
def place(request: pytest.FixtureRequest) -> Place:
    """Every storage in turn whose keys outlive the process."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def url(place: Place) -> str:
    """Its URL."""
    return place.url


@pytest.fixture
def options(place: Place) -> Mapping[str, Any]:
    """Its options."""
    return place.options
