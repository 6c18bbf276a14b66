"""Storages that are only read, opened with credentials that may not write; they may be copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ulid import ULID

from app import errors, plugins
from app.storage import s3 as s3_storage
from app.storage.probe import for_reading
from app.testing.storage import content, listed
from tests.servers import azurite, gcs, s3
from tests.servers.azurite import sas
from tests.servers.gcs_front import FORBIDDEN
from tests.servers.s3_small import refusal, small_store

Store = tuple[str, Mapping[str, Any], Mapping[str, Any], str]
"""A URL, the options of whoever may write, those of whoever may not, and how that is told."""
KEYS = ["a-b", "a/x", "a/y", "ab"]


def of_s3() -> Store:
    """A user whose policy is to list and to read."""
    server = s3.seaweed()
    return "s3://packages", server.options, s3.reader(server).options, "s3:PutObject"


def of_cloudfront() -> Store:
    """The same, the bucket behind a distribution."""
    _, writer, reader, told = of_s3()
    url = {"url": "https://cdn.example"}
    return "cloudfront://packages", {**url, "s3": writer}, {**url, "s3": reader}, told


def of_gcs() -> Store:
    """A service account with the role of a viewer."""
    server = gcs.gcs()
    viewer = {**server.options, "service_account_file": server.credentials("viewer")}
    return "gs://packages", server.options, viewer, "roles/storage.objectUser"


def of_azure() -> Store:
    """A SAS token that gives reading and listing."""
    server = azurite.azurite()
    reader = {**server.place, "sas_token": sas("rl")}
    return "azure://packages", server.options, reader, "Storage Blob Data Contributor"


@pytest.mark.parametrize("of", [of_s3, of_cloudfront, of_gcs, of_azure])
async def test_whoever_may_not_write_may_read(of: Callable[[], Store]) -> None:
    """Refused where it would be written to; opened, listed in order and read where it is not."""
    place, writer, reader, told = of()
    url = f"{place}/{ULID()}"
    connect = plugins.backend("storage", url)
    async with connect(url, writer) as storage:
        for key in KEYS:
            await storage.create(key, key.encode())
    with pytest.raises(errors.Misconfigured, match=told):
        async with connect(url, reader):
            pass
    async with connect(url, for_reading(writer)) as storage:
        assert await content(storage, "a/x") == b"a/x"
    async with connect(url, for_reading(reader)) as storage:
        assert await listed(storage) == KEYS
        assert await content(storage, "a/x") == b"a/x"
        stored = await storage.head("ab")
        assert (stored.key, stored.size) == ("ab", 2)
        with pytest.raises(errors.StorageUnavailable):
            await storage.create("new", b"")


@pytest.mark.parametrize("by_folder", [False, True])
async def test_a_bucket_is_listed_in_order_whatever_order_it_has(by_folder: bool) -> None:
    """Which one it is cannot be tried; many pages come in that of the keys, by reading alone."""
    keys = [f"journal/p{n % 600}{end}/{n}" for n in range(3000) for end in ("", "-x", ".y")]
    with small_store() as store:
        store.by_folder = by_folder
        store.objects = {f"index/{key}": (b"", {}) for key in keys}
        async with s3_storage.connect("s3://packages/index", for_reading(store.options)) as opened:
            assert await listed(opened) == sorted(keys)
        assert {asked.method for asked in store.asked} == {"GET"}


async def test_a_folder_stays_as_it_is(tmp_path: Path) -> None:
    """Nothing is tried in it, and one that is missing is not made."""
    url = f"file:{tmp_path / 'there'}"
    connect = plugins.backend("storage", url)
    with pytest.raises(errors.Misconfigured, match="No such file"):
        async with connect(url, for_reading({})):
            pass
    assert not (tmp_path / "there").exists()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "key").write_bytes(b"content")
    before = (tmp_path / "there").stat().st_mtime_ns
    async with connect(url, for_reading({})) as storage:
        assert await content(storage, "key") == b"content"
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["key"]
    assert (tmp_path / "there").stat().st_mtime_ns == before


async def test_whoever_may_not_read_either_is_told_what_it_takes() -> None:
    """The rights to list and to read, not those to write."""
    with small_store() as store:
        store.instead = lambda asked: refusal(403, "AccessDenied")
        await refused("s3://packages", store.options, "on its objects s3:GetObject: ")
    forbidden = f"gs://{FORBIDDEN}/{ULID()}"
    await refused(forbidden, gcs.gcs().options, "may not read in .*roles/storage.objectViewer")
    server = azurite.azurite()
    blind = {**server.place, "sas_token": sas("w")}
    await refused("azure://packages", blind, "may not read and list .*Storage Blob Data Reader")


async def refused(url: str, options: Mapping[str, Any], told: str) -> None:
    """Open it for reading, which must not succeed."""
    with pytest.raises(errors.Misconfigured, match=told):
        async with plugins.backend("storage", url)(url, for_reading(options)):
            pass
