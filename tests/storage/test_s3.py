"""What is particular to S3: conditional writes, parts, checksums, metadata and URLs."""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from ulid import ULID

from app import errors
from app.storage import s3
from app.storage.options.s3 import S3Options
from app.storage.s3 import failures, metadata, uploads
from app.testing.storage import chunks, content, listed, put
from tests.servers import s3 as servers
from tests.servers.faults import FaultProxy, between
from tests.servers.plans import Fault, Request, Rule
from tests.servers.s3_small import Asked, Told, refusal, small_store

LARGE = random.Random(1).randbytes(17 * 2**20)
"""Four parts."""


@pytest.fixture
def prefix() -> str:
    """Where the test's keys lie in the bucket."""
    return f"{ULID()}"


@pytest.fixture
def bucket() -> Iterator[Any]:
    """The bucket of SeaweedFS, by a client that is not ours."""
    yield from _theirs(servers.seaweed())


def _theirs(server: servers.S3Server) -> Iterator[Any]:
    resource = boto3.resource(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=servers.REGION,
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
        verify=server.ca_file,
        config=Config(s3={"addressing_style": "path"}),
    )
    yield resource.Bucket(servers.BUCKET)
    resource.meta.client.close()


@pytest.fixture
async def storage(prefix: str) -> AsyncIterator[s3.S3Storage]:
    """A storage in SeaweedFS."""
    async with s3.connect(f"s3://packages/{prefix}", servers.seaweed().options) as storage:
        yield storage


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A proxy before SeaweedFS."""
    port = urlsplit(servers.seaweed().endpoint_url).port
    assert port is not None
    with between(port) as proxy:
        yield proxy


@pytest.fixture
async def behind(proxy: FaultProxy, prefix: str) -> AsyncIterator[s3.S3Storage]:
    """The storage behind the proxy."""
    options = {**servers.seaweed().options, "endpoint_url": proxy.url, "read_timeout": 5}
    async with s3.connect(f"s3://packages/{prefix}", options) as storage:
        yield storage


def dangling(bucket: Any, prefix: str) -> list[str]:
    """The keys of uploads that were begun and neither completed nor aborted."""
    return [upload.object_key for upload in bucket.multipart_uploads.filter(Prefix=prefix)]


@pytest.mark.parametrize("checksums", ["sha256", "md5", "none"])
async def test_trap_checksum_trailers(prefix: str, checksums: str) -> None:
    """Over TLS nothing goes behind the body, and so nothing of it stays with the object."""
    server = servers.seaweed(tls=True)
    [bucket] = _theirs(server)
    options = server.options | {"checksums": checksums}
    async with s3.connect(f"s3://packages/{prefix}", options) as storage:
        await put(storage, "small", b"content")
        await put(storage, "large", LARGE)
        assert await storage.create("created", b"event")
        assert await content(storage, "large") == LARGE
    for key in ("small", "large", "created"):
        found = bucket.Object(f"{prefix}/{key}").get()
        assert found.get("ContentEncoding") is None
        found["Body"].close()


@pytest.mark.parametrize("size", [1000, len(LARGE)])
async def test_trap_bodies_are_verified(behind: s3.S3Storage, proxy: FaultProxy, size: int) -> None:
    """One byte that changes on the way does not pass, be the body one part or many."""
    await put(behind, "a", LARGE[:size])
    assert await content(behind, "a") == LARGE[:size]
    proxy.plan = Rule(Fault.FLIPPED, method="GET")
    with pytest.raises(errors.BlobDamaged):
        await content(behind, "a")


@pytest.mark.parametrize("size", [1000, len(LARGE)])
async def test_bodies_are_verified_by_the_store(
    behind: s3.S3Storage, proxy: FaultProxy, prefix: str, bucket: Any, size: int
) -> None:
    """One byte that changes on the way there is refused, and nothing stays."""
    proxy.plan = Rule(Fault.SPOILED, method="PUT")
    with pytest.raises(errors.StorageUnavailable):
        await put(behind, "a", LARGE[:size])
    with pytest.raises(errors.StorageUnavailable):
        await behind.create("b", LARGE[:1000])
    proxy.plan = lambda request: None
    assert await listed(behind) == []
    assert dangling(bucket, prefix) == []


async def test_trap_a_connection_cut_in_mid_body(behind: s3.S3Storage, proxy: FaultProxy) -> None:
    """The rest is asked for where it broke off."""
    await put(behind, "a", LARGE)
    proxy.plan = cut = Rule(Fault.TRUNCATED, method="GET", target="/a$", times=3)
    assert await content(behind, "a") == LARGE
    assert cut.hits == 3


async def test_trap_awscrt_is_not_needed() -> None:
    """Nothing imports the SDK's native library, with which other bodies would be needed."""
    program = "import sys, app.storage.s3; sys.exit('awscrt' in sys.modules)"
    ran = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await ran.wait() == 0


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.TRUNCATED])
async def test_a_create_whose_answer_is_lost(
    behind: s3.S3Storage, proxy: FaultProxy, fault: Fault
) -> None:
    """The SDK asks again and is told that the key exists: it is ours all the same."""
    proxy.plan = lost = Rule(fault, method="PUT", times=1)
    assert await behind.create("a", b"ours")
    assert lost.hits == 1
    assert not await behind.create("a", b"ours")


async def test_a_conflict_is_tried_again() -> None:
    """409 says nothing of who won."""
    with small_store() as store:
        async with s3.connect("s3://packages/index", store.options) as storage:
            left = iter([409, 409])

            def conflicting(asked: Asked) -> Told | None:
                again = asked.is_create and next(left, None)
                return refusal(409, "ConditionalRequestConflict") if again else None

            store.instead = conflicting
            assert await storage.create("a", b"ours")
            assert not await storage.create("a", b"theirs")
            store.instead = lambda asked: (
                refusal(409, "ConditionalRequestConflict") if asked.is_create else None
            )
            assert not await storage.create("a", b"theirs")


async def test_a_lost_answer_to_the_completion(
    behind: s3.S3Storage, proxy: FaultProxy, bucket: Any, prefix: str
) -> None:
    """The upload is gone when the SDK asks again, because it is complete."""
    proxy.plan = lost = Rule(Fault.LOST, method="POST", target="uploadId", times=1)
    await put(behind, "a", LARGE)
    assert lost.hits == 1
    assert await content(behind, "a") == LARGE
    assert dangling(bucket, prefix) == []


@pytest.mark.parametrize("size", [len(LARGE), len(LARGE) - 1])
async def test_an_upload_cut_in_the_middle(
    storage: s3.S3Storage, bucket: Any, prefix: str, size: int
) -> None:
    """A source that breaks off, or has other bytes, leaves nothing and no part."""

    async def breaking() -> AsyncIterator[bytes]:
        for at in range(0, len(LARGE), 2**20):
            yield LARGE[at : at + 2**20]
        raise ConnectionResetError

    with pytest.raises((ConnectionResetError, errors.BlobDamaged)):
        await storage.put("a", breaking(), size=size, sha256="0" * 64)
    assert await listed(storage) == []
    assert dangling(bucket, prefix) == []


async def test_an_upload_cancelled_at_any_time(
    storage: s3.S3Storage, bucket: Any, prefix: str
) -> None:
    """However far it has come, what was cancelled leaves nothing and no part."""
    sha256 = hashlib.sha256(LARGE).hexdigest()
    for n in range(12):
        parts = (LARGE[at : at + 2**20] for at in range(0, len(LARGE), 2**20))
        key = f"{n}"
        work = storage.put(key, chunks(*parts), size=len(LARGE), sha256=sha256)
        task = asyncio.create_task(work)
        await asyncio.sleep(n * 0.01)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            assert await storage.head(key) is None
        else:
            assert await content(storage, key) == LARGE
    assert dangling(bucket, prefix) == []


async def test_an_upload_whose_parts_are_refused(
    behind: s3.S3Storage, proxy: FaultProxy, bucket: Any, prefix: str
) -> None:
    """A store that fails in the middle ends the upload, and nothing stays."""

    def third(request: Request) -> Fault | None:
        return Fault.RESET if "partNumber=3" in request.target else None

    proxy.plan = third
    with pytest.raises(errors.StorageUnavailable):
        await put(behind, "a", LARGE)
    assert dangling(bucket, prefix) == []
    assert await behind.head("a") is None


@pytest.mark.parametrize(
    ("size", "length"),
    [
        (1, 5),
        (5 * 2**30, 5),
        (10_000 * 5 * 2**20, 5),
        (10_000 * 5 * 2**20 + 1, 6),
        (5 * 2**40, 525),
    ],
)
def test_parts_are_large_enough(size: int, length: int) -> None:
    """Ten thousand parts are enough for every size, and none is beyond what S3 takes."""
    assert uploads.part_size(size) == length * 2**20
    assert -(-size // uploads.part_size(size)) <= 10_000


async def test_five_gibibytes_in_parts() -> None:
    """A thousand parts go, a few at a time, each with its own number; scaled to a hundredth."""
    scale = 100
    part = uploads.PART // scale
    count = 5 * 2**30 // uploads.PART
    block = bytes(part // 2)
    whole = hashlib.sha256()
    for _ in range(count * 2):
        whole.update(block)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(count * 2):
            yield block

    with small_store() as store:
        async with s3.connect("s3://packages/index", store.options) as storage:
            store.busiest = 0
            size = len(block) * 2 * count
            small = s3.S3Storage(storage.client, "index/", storage.sign, part=len(block) * 2)
            await small.put("a", body(), size=size, sha256=whole.hexdigest())
            found = await storage.head("a")
    assert found is not None
    assert found.size == size
    numbers = [int(a.query["partNumber"]) for a in store.asked if "partNumber" in a.query]
    assert sorted(numbers) == list(range(1, count + 1))
    assert store.busiest <= uploads.PARALLEL


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (
            {"name": "x", "requires_python": ">=3.9", "hash_md5": "0" * 32},
            {"name": "x", "requires-python": ">=3.9", "hash-md5": "0" * 32},
        ),
        ({"name": "x", "summary": "Größe"}, {}),
        ({"name": "x", "summary": " blank"}, {}),
        ({"name": "x", "summary": ""}, {}),
        ({"Name": "x"}, {}),
        ({"a_b": "x", "a-b": "y"}, {}),
        ({"attempt": "x"}, {}),
        ({"summary": "x" * 2000}, {}),
    ],
)
async def test_metadata_as_pypicloud_wrote_it(
    storage: s3.S3Storage, bucket: Any, prefix: str, given: dict[str, str], kept: dict[str, str]
) -> None:
    """Names have hyphens in the bucket, and all of it is there or nothing."""
    await put(storage, "a", b"content", metadata=given)
    theirs = bucket.Object(f"{prefix}/a").metadata
    ours = {metadata.ATTEMPT, metadata.SHA256}
    assert {name: theirs[name] for name in theirs if name not in ours} == kept
    found = await storage.head("a")
    assert found is not None
    assert dict(found.metadata) == (given if kept else {})


async def test_metadata_that_pypicloud_left(
    storage: s3.S3Storage, bucket: Any, prefix: str
) -> None:
    """Both spellings are read; the one with underscores counts where it says something."""
    left = {
        "requires-python": ">=3.8",
        "hash-sha256": "old",
        "hash_sha256": "new",
        "hash-md5": "kept",
        "hash_md5": "",
    }
    bucket.put_object(Key=f"{prefix}/a", Body=b"content", Metadata=left)
    found = await storage.head("a")
    assert found is not None
    expected = {"requires_python": ">=3.8", "hash_sha256": "new", "hash_md5": "kept"}
    assert dict(found.metadata) == expected


async def test_what_others_wrote_is_read(storage: s3.S3Storage, bucket: Any, prefix: str) -> None:
    """Objects of other writers, in parts or whole, and keys that are none of ours, are listed."""
    bucket.upload_fileobj(BytesIO(LARGE), f"{prefix}/a/large")
    bucket.put_object(Key=f"{prefix}/a/ä", Body=b"")
    bucket.put_object(Key=f"{prefix}/.hidden", Body=b"")
    bucket.put_object(Key=f"{prefix}-beside", Body=b"")
    assert await listed(storage) == [".hidden", "a/large", "a/ä"]
    assert await content(storage, "a/large") == LARGE


async def test_a_presigned_url_gives_the_bytes(storage: s3.S3Storage) -> None:
    """Nothing is needed but the URL, which is the same for half of its life."""
    key = "blobs/x/x-1.0+local.1-py3-none-any.whl"
    await put(storage, key, b"content")
    urls = {
        await storage.url(key, filename=key[8:], expires_in=timedelta(hours=1)) for _ in range(9)
    }
    assert len(urls) <= 2  # a half life may have ended meanwhile
    for url in urls:
        assert url is not None
        assert urlsplit(url).path.endswith("/x-1.0%2Blocal.1-py3-none-any.whl")
        assert httpx.get(url).content == b"content"
        ranged = httpx.get(url, headers={"Range": "bytes=0-2"})
        assert (ranged.status_code, ranged.content) == (206, b"con")
        assert httpx.get(url.replace("-1.0", "-1.1")).status_code == 403
        assert httpx.get(url[:-1] + ("0" if url[-1] != "0" else "1")).status_code == 403


async def test_an_expired_url_is_refused(storage: s3.S3Storage, prefix: str) -> None:
    """A URL of yesterday gives nothing."""
    await put(storage, "a", b"content")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    url = await storage.sign(f"{prefix}/a", yesterday, timedelta(minutes=5))
    assert url is not None
    assert httpx.get(url).status_code == 403


async def test_another_signer(prefix: str) -> None:
    """Whoever opens the bucket may say where clients get its keys."""

    async def elsewhere(key: str, now: datetime, expires_in: timedelta) -> str | None:
        return f"https://cdn.example/{key}"

    options = S3Options.of(servers.seaweed().options)
    async with s3.opened(f"s3://packages/{prefix}", options, sign=elsewhere) as storage:
        url = await storage.url("a", filename="a", expires_in=timedelta(minutes=5))
    assert url == f"https://cdn.example/{prefix}/a"


async def test_a_bucket_that_vanishes_is_not_an_absent_key() -> None:
    """Without its bucket, a key is not said to be missing."""
    with small_store() as store:
        async with s3.connect("s3://packages/index", store.options) as storage:
            store.instead = lambda asked: refusal(404, "NoSuchBucket")
            with pytest.raises(errors.StorageUnavailable, match="NoSuchBucket"):
                await storage.head("a")
            with pytest.raises(errors.StorageUnavailable, match="NoSuchBucket"):
                await content(storage, "a")


async def test_deletes_that_are_refused() -> None:
    """One key of many that cannot be removed is an error; the others are removed."""
    with small_store() as store:
        async with s3.connect("s3://packages/index", store.options) as storage:
            store.instead = lambda asked: (
                Told(200, b"<R><Error><Key>a</Key><Code>AccessDenied</Code></Error></R>")
                if "delete" in asked.query
                else None
            )
            with pytest.raises(errors.StorageUnavailable, match="1 keys: AccessDenied"):
                await storage.delete_many(["a", "b"])


@pytest.mark.parametrize(
    ("code", "archived"),
    [("InvalidObjectState", True), ("SlowDown", False), ("AccessDenied", False), ("503", False)],
)
def test_an_archived_object_is_no_outage(code: str, archived: bool) -> None:
    """Only what S3 answers of an object in its archive is about that object alone."""
    error = ClientError({"Error": {"Code": code, "Message": "why"}}, "GetObject")
    with pytest.raises(failures.Refused) as refused, failures.translated():
        raise error
    assert refused.value.archived is archived
