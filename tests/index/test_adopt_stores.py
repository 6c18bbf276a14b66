"""Adoption of buckets on real servers, filled as PyPICloud filled them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.config import Config
from packaging.utils import NormalizedName
from ulid import ULID

from app import plugins
from app.cache.memory import connect as connect_cache
from app.index import Index, blobs
from app.index.adopt import Adoption
from app.models import Actor
from app.upload.inspection import Inspectors, inspectors
from tests.index.adopting import adopt, agrees, listing, put
from tests.index.places import ALICE, Make, Place
from tests.pypicloud import Layout, old_sdist, sdist, wheel, write_object
from tests.servers import azurite, gcs, s3

DEMO = NormalizedName("demo")
STORES: Mapping[str, Callable[[], tuple[str, Mapping[str, Any]]]] = {
    "s3": lambda: (f"s3://{s3.BUCKET}", s3.seaweed().options),
    "gcs": lambda: (f"gs://{gcs.BUCKET}", gcs.gcs().options),
    "azure": lambda: (f"azure://{azurite.CONTAINER}", azurite.azurite().options),
}


@dataclass
class Bucket:
    """A prefix in a bucket of SeaweedFS, and boto3 to fill it with."""

    client: Any
    prefix: str = field(default_factory=lambda: f"{ULID()}/")

    def write(self, key: str, content: bytes = b"x", **metadata: str) -> None:
        """Put any object."""
        self.client.put_object(
            Bucket=s3.BUCKET, Key=self.prefix + key, Body=content, Metadata=metadata
        )

    def heads(self, prefix: str = "") -> dict[str, tuple[str, dict[str, str]]]:
        """The entity tag and the object metadata of every key below."""
        found = self.client.list_objects_v2(Bucket=s3.BUCKET, Prefix=self.prefix + prefix)
        heads = {}
        for each in found.get("Contents", []):
            head = self.client.head_object(Bucket=s3.BUCKET, Key=each["Key"])
            heads[each["Key"].removeprefix(self.prefix)] = (head["ETag"], head["Metadata"])
        return heads


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """An empty prefix."""
    server = s3.seaweed()
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=s3.REGION,
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    yield Bucket(client)
    client.close()


@pytest.fixture
async def pool() -> AsyncIterator[Inspectors]:
    """Whatever looks into archives."""
    async with inspectors(count=1) as pool:
        yield pool


async def opened(stack: AsyncExitStack, url: str, options: Mapping[str, Any]) -> Place:
    """An index on a store, its cache in memory."""
    storage = await stack.enter_async_context(plugins.backend("storage", url)(url, options))
    cache = await stack.enter_async_context(connect_cache("memory:", {}))
    return Place(storage, cache, stack)


@pytest.fixture
async def place(bucket: Bucket) -> AsyncIterator[Place]:
    """An index on the prefix."""
    async with AsyncExitStack() as stack:
        url = f"s3://{s3.BUCKET}/{bucket.prefix}"
        yield await opened(stack, url, s3.seaweed().options)


@pytest.mark.parametrize("layout", ["hashed", "plain", "oldest"])
async def test_a_bucket_twice(
    bucket: Bucket, place: Place, pool: Inspectors, layout: Layout
) -> None:
    """Every layout is adopted in place; a second run writes nothing, and nothing old changes."""
    olds = [wheel("demo"), sdist("demo", "2.0"), old_sdist("Old.Thing", "1.0-dev-r1")]
    keys = [old.key(layout) for old in olds]
    for key, old in zip(keys, olds, strict=True):
        write_object(bucket.client, s3.BUCKET, bucket.prefix + key, old)
    before = bucket.heads()
    first = await adopt(place.index, pool)
    assert {key: outcome.state for key, outcome in first.items()} == dict.fromkeys(keys, "adopted")
    after = bucket.heads()
    assert {key: after[key] for key in before} == before
    second = await adopt(place.index, pool)
    assert {outcome.state for outcome in second.values()} == {"known"}
    assert bucket.heads() == after
    for file in (await place.index.project(DEMO)).published:
        assert file.uploader == Actor(kind="user", id="alice")
        assert file.offers_metadata
    assert await agrees(place.index)


async def test_both_spellings_and_none(bucket: Bucket, place: Place, pool: Inspectors) -> None:
    """Hyphens, underscores added by scripts, both, and no metadata at all."""
    olds = [wheel("demo", f"1.{n}") for n in range(4)]
    fields: list[dict[str, str]] = [
        olds[0].metadata("-"),
        olds[1].metadata("_"),
        {**olds[2].metadata("_"), "hash-sha256": "0" * 64},
        {},
    ]
    for old, metadata in zip(olds, fields, strict=True):
        write_object(bucket.client, s3.BUCKET, bucket.prefix + old.key(), old, metadata)
    wrong = wheel("demo", "2.0")
    wrong_fields = {**wrong.metadata("-"), "hash-sha256": "0" * 64}
    write_object(bucket.client, s3.BUCKET, bucket.prefix + wrong.key(), wrong, wrong_fields)
    outcomes = await adopt(place.index, pool)
    assert [outcomes[old.key()].state for old in olds] == ["adopted"] * 4
    assert outcomes[wrong.key()].state == "left"


async def test_strays(bucket: Bucket, place: Place, pool: Inspectors) -> None:
    """Whatever else lies there is listed with a reason, and stays; folders' placeholders do not."""
    demo = wheel("demo")
    write_object(bucket.client, s3.BUCKET, bucket.prefix + demo.key(), demo)
    strays = {
        "demo/démo-1.0.tar.gz": "characters or segments",
        "demo/de\tmo-1.0.tar.gz": "characters or segments",
        "demo/demo-1.0-py2.7.egg": "an egg",
        "readme.txt": "not a distribution",
        "empty/demo/demo-3.0.tar.gz": "it is empty",
    }
    for key in strays:
        bucket.write(key, b"" if key.startswith("empty") else b"x")
    bucket.write("demo/", b"")
    before = bucket.heads()
    trial = {outcome.key: outcome async for outcome in Adoption(place.storage).run()}
    assert bucket.heads() == before
    outcomes = await adopt(place.index, pool)
    assert outcomes.pop(demo.key()).state == "adopted"
    for found in (outcomes, {key: trial[key] for key in outcomes}):
        assert found.keys() == strays.keys()
        assert all(strays[key] in str(one.reason) for key, one in found.items())
    await place.index.collect()
    after = bucket.heads()
    assert {key: after[key] for key in before} == before
    assert await agrees(place.index)


async def test_the_way_back(bucket: Bucket, place: Place, make: Make) -> None:
    """PyPICloud would find the new file by its object metadata, and pass over all else of ours."""
    index = Index(place.storage, place.cache, legacy_metadata=True)
    await index.reindex()
    published = await index.publish(make("Demo", requires_python=">=3.8"), ALICE)
    heads = bucket.heads()
    _, metadata = heads.pop(published.file.blob)
    named = {"name": "demo", "version": "1.0", "requires-python": ">=3.8", "uploader": "alice"}
    assert metadata.items() >= named.items()
    assert metadata["hash-sha256"] == published.file.hashes.sha256
    taken = (".tar.gz", ".tar.bz2", ".tar", ".zip", ".tgz", ".tbz", ".egg", ".exe", ".whl")
    for key, (_, metadata) in heads.items():
        assert "name" not in metadata
        assert not key.endswith(taken)


@pytest.fixture(params=list(STORES))
async def every(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """An index on a prefix of each store in turn."""
    url, options = STORES[request.param]()
    async with AsyncExitStack() as stack:
        yield await opened(stack, f"{url}/{ULID()}", options)


async def test_every_store(every: Place, pool: Inspectors) -> None:
    """Adopted in place, twice with the same result, removed for good; the metadata comes along."""
    olds = [wheel("demo", "1.0"), sdist("demo", "2.0"), wheel("other")]
    for old in olds:
        await put(every.storage, old.key("plain"), old)
    first = await adopt(every.index, pool)
    assert {outcome.state for outcome in first.values()} == {"adopted"}
    before = await listing(every)
    second = await adopt(every.index, pool)
    assert {outcome.state for outcome in second.values()} == {"known"}
    assert await listing(every) == before
    assert await agrees(every.index)
    (file,) = (await every.index.project(NormalizedName("other"))).published
    assert file.uploader == Actor(kind="user", id="alice")
    await blobs.remove(every.storage, file.blob)
    left = await listing(every, "other/"), await listing(every, "adopted/other/")
    assert left == ({}, {})
