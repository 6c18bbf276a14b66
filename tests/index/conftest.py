"""An index on memory backends, and distributions ready to be published."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from app import names
from app.cache.memory import connect as connect_cache
from app.models import Kind
from app.storage.memory import connect as connect_storage
from app.upload.distribution import Distribution
from tests.index.places import Make, Place, hashes


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """A built, empty index."""
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(connect_storage("memory:", {}))
        cache = await stack.enter_async_context(connect_cache("memory:", {}))
        found = Place(storage, cache, stack)
        await found.index.reindex()
        yield found


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A distribution as the upload room hands it over; its bytes are not looked at again."""
    made = 0

    def make(
        name: str = "Demo.Pkg", version: str = "1.0", content: bytes = b"bytes", **facts: object
    ) -> Distribution:
        nonlocal made
        made += 1
        path = tmp_path / f"spooled-{made}"
        path.write_bytes(content)
        stem = f"{names.normalize(name).replace('-', '_')}-{version}"
        distribution = Distribution(
            project=names.normalize(name),
            display_name=name,
            version=version,
            filename=f"{stem}-py3-none-any.whl",
            kind=Kind.WHEEL,
            python_version="py3",
            size=len(content),
            hashes=hashes(content),
            path=path,
            metadata=f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n".encode(),
            metadata_static=True,
            summary="Zusammenfassung, größer €",
            core={"name": name, "version": version},
        )
        return replace(distribution, **facts)  # type: ignore[arg-type]  # facts are its fields

    return make
