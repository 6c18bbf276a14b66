"""What is special about a storage in memory."""

from __future__ import annotations

from app.storage.memory import connect
from app.testing.storage import listed, put


async def test_each_connection_is_a_storage_of_its_own() -> None:
    """Two connections share nothing, and nothing outlives them."""
    async with connect("memory:", {}) as one, connect("memory:", {}) as other:
        assert await one.create("a/b", b"content")
        assert await listed(other) == []
    async with connect("memory:", {}) as again:
        assert await listed(again) == []


async def test_metadata_is_kept() -> None:
    """User metadata comes back from head and scan, as a copy."""
    given = {"name": "Großes Paket"}
    async with connect("memory:", {}) as storage:
        await put(storage, "a/b", b"content", metadata=given)
        given["name"] = "another"
        found = await storage.head("a/b")
        assert found is not None
        assert found.metadata == {"name": "Großes Paket"}
        assert [stored async for stored in storage.scan()] == [found]
