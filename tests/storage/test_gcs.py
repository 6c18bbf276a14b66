"""Google Cloud Storage: how bytes get in and out when things go wrong on the way."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from ulid import ULID

from app import errors
from app.storage.gcs import connect, listing, uploads
from app.storage.gcs.bucket import Bucket
from app.storage.gcs.client import Client
from app.storage.gcs.failures import Failed
from app.storage.options.gcs import GCSOptions
from app.storage.place import Place
from app.testing.storage import chunks, content, listed, put
from tests.servers import gcs
from tests.servers.faults import FaultProxy, between
from tests.servers.gcs import GCSServer
from tests.servers.gcs_front import CARELESS
from tests.servers.plans import Answer, Fault, Rule

CHUNK = uploads.CHUNK
LARGE = [bytes([n]) * 2**20 for n in range(20)]
"""Two whole chunks, and half of one."""
UNAVAILABLE = Answer(503, "Service Unavailable")


@pytest.fixture
def server() -> GCSServer:
    """The shared store."""
    return gcs.gcs()


@pytest.fixture
def prefix() -> str:
    """What all names of the test begin with."""
    return str(ULID())


@pytest.fixture
def proxy(server: GCSServer) -> Iterator[FaultProxy]:
    """What breaks connections to the store."""
    with between(int(server.host.partition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def patience() -> str:
    """How long the storage waits for the store, which the machine may hold up."""
    return "60 s"


HASTY = pytest.mark.parametrize("patience", ["3 s"])
"""For tests of a store that answers nothing any more."""


@pytest.fixture
async def bucket(
    server: GCSServer, proxy: FaultProxy, prefix: str, patience: str
) -> AsyncIterator[Bucket]:
    """The storage, behind the proxy."""
    options = {"endpoint_url": proxy.url, "connect_timeout": "30 s", "read_timeout": patience}
    async with connect(f"gs://{gcs.BUCKET}/{prefix}", server.options | options) as bucket:
        yield bucket


def sha256(parts: list[bytes]) -> str:
    """Of the joined parts."""
    return hashlib.sha256(b"".join(parts)).hexdigest()


class TestPut:
    """Few bytes go in one request, many in chunks."""

    async def test_chunks(self, server: GCSServer, bucket: Bucket, prefix: str) -> None:
        """Of a large body each request but the last has whole quanta; the last has the MD5."""
        await put(bucket, "a/b", *LARGE)
        asked = server.requests(prefix, "chunk")
        ranges = [request["headers"]["Content-Range"] for request in asked]
        size = 20 * 2**20
        assert ranges == [
            f"bytes 0-{CHUNK - 1}/{size}",
            f"bytes {CHUNK}-{2 * CHUNK - 1}/{size}",
            f"bytes {2 * CHUNK}-{size - 1}/{size}",
        ]
        assert [("X-Goog-Hash" in request["headers"]) for request in asked] == [False, False, True]
        assert await content(bucket, "a/b") == b"".join(LARGE)

    @pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1])
    async def test_sizes_about_a_chunk(self, bucket: Bucket, size: int) -> None:
        """Nothing happens to bodies that just fill a chunk."""
        await put(bucket, "a/b", bytes(size))
        found = await bucket.head("a/b")
        assert found is not None
        assert found.size == size

    async def test_five_gibibytes(self, bucket: Bucket) -> None:
        """The last chunks of a body beyond 4 GiB are numbered as those of any other."""
        size = 5 * 2**30 + 7
        ranges: list[str] = []

        async def store(request: web.Request) -> web.Response:
            ranges.append(request.headers["Content-Range"])
            kept = int(ranges[-1].partition("-")[2].partition("/")[0]) + 1
            if kept == size:
                return web.json_response({})
            return web.Response(status=308, headers={"Range": f"bytes=0-{kept - 1}"})

        application = web.Application(client_max_size=2 * CHUNK)
        application.add_routes([web.put("/upload", store)])
        async with TestServer(application) as listening:
            session = uploads.Session(bucket._client, str(listening.make_url("/upload")), size)
            session._kept = size - 7 - CHUNK
            assert await session.send(bytes(CHUNK)) is None
            assert await session.send(bytes(7)) == {}
        first, last = ranges
        assert first == "bytes 5360320512-5368709119/5368709127"
        assert last == "bytes 5368709120-5368709126/5368709127"

    @pytest.mark.parametrize("parts", [[b"small"], LARGE], ids=["small", "large"])
    async def test_fixed_metadata(self, server: GCSServer, prefix: str, parts: list[bytes]) -> None:
        """Fixed metadata and options are spelled as the store expects, for either way."""
        options = {
            "storage_class": "NEARLINE",
            "predefined_acl": "bucketOwnerFullControl",
            "kms_key_name": "projects/p/locations/l/keyRings/r/cryptoKeys/k",
        }
        async with connect(f"gs://{gcs.BUCKET}/{prefix}", server.options | options) as bucket:
            await put(bucket, "a/b", *parts, metadata={"name": "x"})
        [asked] = [
            asked
            for asked in server.requests(f"{prefix}/a/b")
            if asked["operation"] in ("upload", "session")
        ]
        resource = asked["resource"]
        assert resource["cacheControl"].startswith("private, max-age=")
        assert resource["storageClass"] == "NEARLINE"
        assert resource["metadata"] == {"name": "x"}
        assert asked["params"]["predefinedAcl"] == "bucketOwnerFullControl"
        assert asked["params"]["kmsKeyName"] == options["kms_key_name"]

    @pytest.mark.parametrize(
        "metadata",
        [
            {"long": "x" * 8192},
            {"a": "kept?", "long": "ü" * 4096},
            {"surrogate": "\udcff"},
            {"": "x"},
            {"a": "kept?", "attempt": "x"},
        ],
        ids=["long", "long in bytes", "surrogate", "nameless", "ours"],
    )
    async def test_metadata_that_cannot_be_carried(
        self, bucket: Bucket, metadata: dict[str, str]
    ) -> None:
        """Of user metadata that the store does not take, nothing is written."""
        await put(bucket, "a/b", b"content", metadata=metadata)
        found = await bucket.head("a/b")
        assert found is not None
        assert found.metadata == {}

    @pytest.mark.parametrize(
        ("target", "method"),
        [("uploadType=multipart", "POST"), ("uploadType=resumable", "POST"), ("upload_id", "PUT")],
        ids=["multipart", "session", "chunk"],
    )
    @pytest.mark.parametrize(
        "fault",
        [
            *(UNAVAILABLE, Answer(429, "Too Many Requests"), Fault.RESET, Fault.CUT, Fault.LOST),
            *(Fault.SILENT, Fault.UNANSWERED, Fault.TRUNCATED),
        ],
        ids=["503", "429", "reset", "cut", "lost", "silent", "unanswered", "truncated"],
    )
    @HASTY
    async def test_one_failure_is_made_good(
        self, bucket: Bucket, proxy: FaultProxy, target: str, method: str, fault: Any
    ) -> None:
        """Whichever request fails once, and however: the bytes come to be there."""
        parts = LARGE if target != "uploadType=multipart" else [b"content"]
        rule = proxy.plan = Rule(fault, method=method, target=target, times=1)
        await put(bucket, "a/b", *parts)
        assert rule.hits == 1
        assert await content(bucket, "a/b") == b"".join(parts)

    @pytest.mark.parametrize("skip", [0, 1, 2])
    async def test_a_lost_answer_to_a_chunk(
        self, server: GCSServer, bucket: Bucket, proxy: FaultProxy, prefix: str, skip: int
    ) -> None:
        """The store is asked how far it came, and no byte is sent twice."""
        proxy.plan = Rule(Fault.LOST, target="upload_id", times=1, skip=skip)
        await put(bucket, "a/b", *LARGE)
        ranges = [asked["headers"]["Content-Range"] for asked in server.requests(prefix, "chunk")]
        assert len(set(ranges)) == len(ranges) == 3
        assert server.requests(prefix, "query")
        assert await content(bucket, "a/b") == b"".join(LARGE)

    async def test_a_chunk_that_is_kept_in_part(
        self, server: GCSServer, bucket: Bucket, proxy: FaultProxy, prefix: str
    ) -> None:
        """What the store did not keep of a chunk is sent again, and only that."""
        proxy.plan = Rule(Fault.CUT, target="upload_id", times=1, skip=1)
        await put(bucket, "a/b", *LARGE)
        starts = [
            int(request["headers"]["Content-Range"].removeprefix("bytes ").partition("-")[0])
            for request in server.requests(prefix, "chunk")
        ]
        assert starts[:2] == [0, CHUNK]
        assert CHUNK <= starts[2] < 2 * CHUNK
        assert starts[3] == 2 * CHUNK
        assert await content(bucket, "a/b") == b"".join(LARGE)

    async def test_bytes_spoiled_on_the_way(self, bucket: Bucket, proxy: FaultProxy) -> None:
        """The store refuses them before they can be seen; a large put fails and leaves nothing."""
        proxy.plan = Rule(Fault.SPOILED, target="upload_id", times=1)
        with pytest.raises(errors.StorageUnavailable, match="MD5"):
            await put(bucket, "a/b", *LARGE)
        assert await listed(bucket) == []

    async def test_a_store_that_takes_spoiled_bytes(
        self, bucket: Bucket, proxy: FaultProxy, prefix: str
    ) -> None:
        """What a store kept though it was told another MD5 is removed again."""
        options = GCSOptions(endpoint_url=proxy.url)
        session = bucket._client._storage.session.session
        client = Client(options, CARELESS, bucket._client.token, session)
        careless = Bucket(client, Place(CARELESS, f"{prefix}/"), options, None)
        rule = proxy.plan = Rule(Fault.SPOILED, target="upload_id", times=1)
        with pytest.raises(errors.StorageUnavailable, match="other bytes than were sent"):
            await put(careless, "a/b", *LARGE)
        assert rule.hits == 1
        assert await listed(careless) == []

    async def test_tries_are_bounded(
        self, server: GCSServer, bucket: Bucket, proxy: FaultProxy, prefix: str
    ) -> None:
        """A store that keeps failing is given up after three tries, and no upload stays open."""
        rule = proxy.plan = Rule(UNAVAILABLE, method="PUT", target="upload_id")
        with pytest.raises(errors.StorageUnavailable, match="answers 503"):
            await put(bucket, "a/b", *LARGE)
        assert rule.hits <= 2 * 3
        assert server.open_uploads(prefix) == 0
        assert await listed(bucket) == []

    async def test_the_url_of_an_upload_is_not_shown(
        self, bucket: Bucket, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whoever knows it can write; so it stands in no error, no cause of one, and no log."""
        caplog.set_level(logging.DEBUG)
        proxy.plan = Rule(Answer(400, "Bad Request", body=b"x"), method="PUT", target="upload_id")
        with pytest.raises(errors.StorageUnavailable) as raised:
            await put(bucket, "a/b", *LARGE)
        shown = f"{raised.value!r} {raised.value.__cause__!r} {caplog.text}"
        assert raised.value.__suppress_context__
        assert "upload_id" not in shown

    @pytest.mark.parametrize("before", [None, b"before"])
    @pytest.mark.parametrize("failing", ["raises", "sha256", "short"])
    async def test_nothing_is_left_of_a_large_put_that_fails(
        self, server: GCSServer, bucket: Bucket, prefix: str, before: bytes | None, failing: str
    ) -> None:
        """Neither bytes nor an open upload, whether the source breaks off or has other bytes."""

        async def source() -> AsyncIterator[bytes]:
            for part in LARGE[: -1 if failing == "short" else None]:
                yield part
            if failing == "raises":
                raise ConnectionResetError("the client went away")

        if before is not None:
            await put(bucket, "a/b", before)
        expected = "0" * 64 if failing == "sha256" else sha256(LARGE)
        with pytest.raises((ConnectionResetError, errors.BlobDamaged)):
            await bucket.put("a/b", source(), size=20 * 2**20, sha256=expected)
        assert server.open_uploads(prefix) == 0
        assert len(server.requests(prefix, "session")) == 1
        assert await listed(bucket) == ([] if before is None else ["a/b"])
        if before is not None:
            assert await content(bucket, "a/b") == before

    async def test_a_large_put_cancelled_at_any_time(
        self, server: GCSServer, bucket: Bucket, prefix: str
    ) -> None:
        """One that raises CancelledError left nothing; one that does not is whole."""
        parts = LARGE[:9]
        digest = sha256(parts)
        for steps in range(24):
            task = asyncio.create_task(
                bucket.put("a/b", chunks(*parts), size=9 * 2**20, sha256=digest)
            )
            await asyncio.sleep(steps * 0.006)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                assert await listed(bucket) == []
            else:
                found = await bucket.head("a/b")
                assert found is not None
                assert found.size == 9 * 2**20
                await bucket.delete("a/b")
            assert server.open_uploads(prefix) == 0

    @pytest.mark.parametrize("parts", [[b"small"], LARGE], ids=["small", "large"])
    async def test_a_cancellation_waits_for_the_commit(
        self, bucket: Bucket, proxy: FaultProxy, parts: list[bytes]
    ) -> None:
        """A put that is cancelled while its last request is under way returns, if that succeeds."""
        skip, target = (2, "upload_id") if len(parts) > 1 else (0, "multipart")
        rule = proxy.plan = Rule(Fault.DELAYED, target=target, skip=skip)
        task = asyncio.create_task(put(bucket, "a/b", *parts))
        while not rule.hits:
            await asyncio.sleep(0.01)
        task.cancel()
        await task
        assert await content(bucket, "a/b") == b"".join(parts)

    async def test_a_store_that_stops_reading(self, bucket: Bucket) -> None:
        """An upload whose bytes nobody takes fails after the time-out, instead of never."""

        heard = asyncio.Event()

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await heard.wait()
            writer.transport.abort()

        async with await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1) as listening:
            port = listening.sockets[0].getsockname()[1]
            session = uploads.Session(bucket._client, f"http://127.0.0.1:{port}/upload", 2 * CHUNK)
            with pytest.raises(Failed, match="did not answer in time"):
                await session._put(memoryview(bytes(CHUNK)), {})
            heard.set()
            await asyncio.sleep(0.1)


class TestCreate:
    """Create-only writes, and answers that get lost."""

    @pytest.mark.parametrize("fault", [Fault.LOST, Fault.UNANSWERED, Fault.TRUNCATED])
    @HASTY
    async def test_a_lost_answer(self, bucket: Bucket, proxy: FaultProxy, fault: Fault) -> None:
        """Whoever created the key is told so, though the answer got lost; nobody else is."""
        rule = proxy.plan = Rule(fault, method="POST", times=1)
        assert await bucket.create("a/b", b"ours")
        assert rule.hits == 1
        assert not await bucket.create("a/b", b"ours")
        found = await bucket.head("a/b")
        assert found is not None
        assert found.metadata == {}
        [scanned] = [stored async for stored in bucket.scan()]
        assert scanned.metadata == {}

    async def test_bytes_spoiled_on_the_way(self, bucket: Bucket, proxy: FaultProxy) -> None:
        """They are not created; the declared MD5 has the store refuse them."""
        proxy.plan = Rule(Fault.SPOILED, method="POST", times=1)
        with pytest.raises(errors.StorageUnavailable):
            await bucket.create("a/b", b"x" * 10_000)
        assert await listed(bucket) == []

    async def test_nothing_of_create_is_cached(
        self, server: GCSServer, bucket: Bucket, prefix: str
    ) -> None:
        """Records of the journal are kept by no cache, wherever the bucket is public."""
        await bucket.create("a/b", b"{}")
        [asked] = server.requests(f"{prefix}/a/b", "upload")
        assert asked["resource"]["cacheControl"] == "no-store, no-transform"


class TestGet:
    """Bodies that break off, stall, and lie."""

    @pytest.mark.parametrize("fault", [Fault.TRUNCATED, Fault.STALLED, Fault.RESET, UNAVAILABLE])
    @HASTY
    async def test_a_body_goes_on_where_it_broke(
        self, server: GCSServer, bucket: Bucket, proxy: FaultProxy, prefix: str, fault: Any
    ) -> None:
        """One that ends early or stands still is gone on with, from there and of the same bytes."""
        parts = LARGE[:4]
        await put(bucket, "a/b", *parts)
        proxy.plan = Rule(fault, target="alt=media", times=1)
        assert await content(bucket, "a/b") == b"".join(parts)
        if isinstance(fault, Fault) and fault is not Fault.RESET:
            first, second = server.requests(prefix, "media")
            assert "Range" not in first["headers"]
            assert second["headers"]["Range"].startswith("bytes=")
            assert second["headers"]["Range"] != "bytes=0-"
            assert second["params"]["ifGenerationMatch"]

    async def test_a_body_replaced_meanwhile(self, bucket: Bucket, proxy: FaultProxy) -> None:
        """Two bodies are never mixed."""
        await put(bucket, "a/b", *LARGE[:4])
        proxy.plan = Rule(Fault.TRUNCATED, target="alt=media", times=1)
        found = bucket.get("a/b")
        await anext(found)
        await put(bucket, "a/b", *LARGE[4:8])
        with pytest.raises(errors.StorageUnavailable):
            async for _ in found:
                pass

    @HASTY
    async def test_a_slow_body(self, server: GCSServer, bucket: Bucket, prefix: str) -> None:
        """One that takes longer than the time-out in all, but not between bytes, is read in one."""
        body = bytes(8 * 10_000)
        await put(bucket, "a/b", body)
        server.slow_down(f"{prefix}/a/b", count=10_000, seconds=0.6)
        assert await content(bucket, "a/b") == body
        assert len(server.requests(prefix, "media")) == 1

    async def test_bytes_spoiled_on_the_way(self, bucket: Bucket, proxy: FaultProxy) -> None:
        """They are noticed before the end, so that what was read is never taken for whole."""
        body = bytes(2**20)
        await put(bucket, "a/b", body)
        proxy.plan = Rule(Fault.FLIPPED, target="alt=media", times=1)
        got: list[bytes] = []

        async def read() -> None:
            async for chunk in bucket.get("a/b"):
                got.append(chunk)  # noqa: PERF401  # to have what came before the error

        with pytest.raises(errors.BlobDamaged):
            await read()
        assert len(b"".join(got)) < len(body)

    async def test_a_store_that_does_not_answer(self, bucket: Bucket, proxy: FaultProxy) -> None:
        """Nothing is said to be missing that could not be asked for."""
        await put(bucket, "a/b", b"content")
        for fault in (UNAVAILABLE, Fault.RESET):
            proxy.plan = Rule(fault)
            with pytest.raises(errors.StorageUnavailable):
                await bucket.head("a/b")
            with pytest.raises(errors.StorageUnavailable):
                await content(bucket, "a/b")
            with pytest.raises(errors.StorageUnavailable):
                await listed(bucket)

    async def test_a_bucket_that_goes_away(self, bucket: Bucket, proxy: FaultProxy) -> None:
        """Its keys are not missing: nobody knows of them."""
        gone = b'{"error": {"code": 404, "message": "The specified bucket does not exist."}}'
        proxy.plan = Rule(Answer(404, "Not Found", body=gone))
        with pytest.raises(errors.StorageUnavailable):
            await bucket.head("a/b")
        with pytest.raises(errors.StorageUnavailable):
            await content(bucket, "a/b")
        with pytest.raises(errors.StorageUnavailable):
            await bucket.delete("a/b")

    async def test_answers_that_are_no_answers(self, bucket: Bucket, proxy: FaultProxy) -> None:
        """The page of some proxy on the way is not taken for what the store says."""
        proxy.plan = Rule(Answer(200, "OK", body=b"<html>sign in"))
        with pytest.raises(errors.StorageUnavailable):
            await bucket.head("a/b")
        with pytest.raises(errors.StorageUnavailable):
            await listed(bucket)
        with pytest.raises(errors.StorageUnavailable):
            await put(bucket, "a/b", *LARGE)

    async def test_bytes_that_others_compressed(self, bucket: Bucket, prefix: str) -> None:
        """What lies compressed in the store is handed out as it lies there, all of it."""
        compressed = gzip.compress(b"content" * 1000)
        resource = {"name": f"{prefix}/a/b", "contentType": "x/y", "contentEncoding": "gzip"}
        await uploads.whole(bucket._client, resource, compressed, {})
        found = await bucket.head("a/b")
        assert found is not None
        assert found.size == len(compressed)
        assert await content(bucket, "a/b") == compressed
        assert await content(bucket, "a/b", start=10, end=20) == compressed[10:20]

    async def test_a_get_left_early(self, bucket: Bucket) -> None:
        """Whoever stops reading leaves no connection behind."""
        await put(bucket, "a/b", *LARGE[:4])
        for _ in range(70):
            found = bucket.get("a/b")
            await anext(found)
            await found.aclose()  # type: ignore[attr-defined]  # it is a generator


class TestDelete:
    """Few requests for many keys."""

    async def test_batches(self, server: GCSServer, bucket: Bucket, prefix: str) -> None:
        """A hundred keys go with one request."""
        await asyncio.gather(*(bucket.create(f"a/{n}", b"") for n in range(120)))
        await bucket.delete_many([f"a/{n}" for n in range(120)])
        assert await listed(bucket) == []
        batched = {str(request["name"]) for request in server.requests(f"{prefix}/a", "batched")}
        assert len(batched) == 120
        assert server.requests(f"{prefix}/a", "delete") == []

    async def test_what_a_batch_leaves(
        self, server: GCSServer, bucket: Bucket, prefix: str
    ) -> None:
        """What could not be removed in a batch is removed alone."""
        for key in ("a/1", "a/stubborn", "a/2"):
            await bucket.create(key, b"")
        await bucket.delete_many(["a/1", "a/stubborn", "a/2"])
        assert await listed(bucket) == []
        assert len(server.requests(f"{prefix}/a", "delete")) == 1

    @pytest.mark.parametrize("status", [404, 503])
    async def test_a_store_without_batches(
        self, bucket: Bucket, proxy: FaultProxy, status: int
    ) -> None:
        """Without the batch endpoint keys are removed one by one."""
        await bucket.create("a/1", b"")
        proxy.plan = Rule(Answer(status, "No"), target="^/batch")
        await bucket.delete_many(["a/1", "a/2"])
        assert await listed(bucket) == []

    async def test_what_cannot_be_removed(self, bucket: Bucket, proxy: FaultProxy) -> None:
        """The others are removed before the error is raised."""
        for key in ("a/1", "a/stubborn", "a/2"):
            await bucket.create(key, b"")
        proxy.plan = Rule(Answer(403, "Forbidden"), method="DELETE")
        with pytest.raises(errors.StorageUnavailable, match="403"):
            await bucket.delete_many(["a/1", "a/stubborn", "a/2"])
        assert await listed(bucket) == ["a/stubborn"]


class TestScan:
    """What others put into the bucket."""

    async def test_keys_of_others(self, server: GCSServer, prefix: str) -> None:
        """Whatever lies below the prefix is seen, but not the empty object of a folder."""
        async with connect(f"gs://{gcs.BUCKET}", server.options) as all_of_it:
            for name in ("", "x//y", "ü", "trailing/"):
                resource = {"name": f"{prefix}/{name}", "contentType": "text/plain"}
                await uploads.whole(all_of_it._client, resource, b"", {})
        async with connect(f"gs://{gcs.BUCKET}/{prefix}", server.options) as bucket:
            assert await listed(bucket) == ["trailing/", "x//y", "ü"]

    @pytest.mark.parametrize("folders", [1, 7, 40, 200])
    async def test_long_listings(
        self, server: GCSServer, bucket: Bucket, prefix: str, folders: int
    ) -> None:
        """However the names spread over folders, each is listed once and in order."""
        names = [f"a/{n % folders:03}/{n:03}" for n in range(190)]
        names += [f"a/{n:03}" for n in range(5)] + [f"a/{n:03}-" for n in range(5)]
        await asyncio.gather(*(bucket.create(name, b"") for name in names))
        start = f"{prefix}/a/"
        found = [each["name"] async for each in listing.listed(bucket._client, start, size=8)]
        assert found == sorted(f"{prefix}/{name}" for name in names)

    async def test_stretches_are_listed_at_a_time(
        self, bucket: Bucket, proxy: FaultProxy, prefix: str
    ) -> None:
        """Where folders divide a long listing, it takes as long as a part of it."""
        names = [f"a/{n // 5:03}/{n:03}" for n in range(200)]
        await asyncio.gather(*(bucket.create(name, b"") for name in names))
        proxy.plan = Rule(Fault.DELAYED)
        began = time.monotonic()
        found = [
            each["name"] async for each in listing.listed(bucket._client, f"{prefix}/a/", size=8)
        ]
        took = time.monotonic() - began
        assert [name.partition("/")[2] for name in found] == names
        assert took < 0.8 * proxy.delay * len(names) / 8

    async def test_a_stretch_that_fails(self, bucket: Bucket, proxy: FaultProxy) -> None:
        """A listing never ends as if it were whole."""
        names = [f"a/{n // 5:03}/{n:03}" for n in range(100)]
        await asyncio.gather(*(bucket.create(name, b"") for name in names))
        proxy.plan = Rule(UNAVAILABLE, target="startOffset=.*pageToken|pageToken.*startOffset")
        seen: list[str] = []
        with pytest.raises(errors.StorageUnavailable):
            await self._list(bucket, seen)
        assert 0 < len(seen) < len(names)

    async def _list(self, bucket: Bucket, seen: list[str]) -> None:
        start = f"{bucket._place.prefix}a/"
        async for each in listing.listed(bucket._client, start, size=8):
            seen.append(each["name"])  # noqa: PERF401  # to have what came before the error
