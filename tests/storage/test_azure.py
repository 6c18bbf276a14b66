"""Azure Blob Storage: how bytes get in and out when things go wrong on the way."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping

import pytest
from azure.storage.blob import BlobProperties, ContainerClient, ContentSettings
from ulid import ULID

from app import errors
from app.models import Stored
from app.storage.azure import connect, failures
from app.storage.azure.container import MAX_METADATA, Container
from app.storage.azure.listing import parse
from app.storage.azure.requests import LARGEST, PAGE
from app.storage.azure.uploads import BLOCK, UNDER_WAY, Blocks
from app.testing.storage import chunks, content, listed, put
from tests.servers import azurite
from tests.servers.azurite import ACCOUNT, CONTAINER, KEY, AzuriteServer
from tests.servers.faults import FaultProxy, between
from tests.servers.plans import Answer, Fault, Rule

LARGE = [bytes([n]) * 2**20 for n in range(11)]
"""Three blocks, the last of them shorter."""
BUSY = Answer(503, "Server Busy", ("x-ms-error-code: ServerBusy",))
EXISTS = Answer(409, "The specified blob already exists.", ("x-ms-error-code: BlobAlreadyExists",))
UNMET = Answer(412, "Not met", ("x-ms-error-code: ConditionNotMet",))


@pytest.fixture
def server() -> AzuriteServer:
    """The shared store."""
    return azurite.azurite()


@pytest.fixture
def prefix() -> str:
    """What all names of the test begin with."""
    return str(ULID())


@pytest.fixture
def proxy(server: AzuriteServer) -> Iterator[FaultProxy]:
    """What breaks connections to the store."""
    with between(server.port) as proxy:
        yield proxy


@pytest.fixture
def patience() -> str:
    """How long the storage waits for the store, which the machine may hold up."""
    return "60 s"


HASTY = pytest.mark.parametrize("patience", ["3 s"])
"""For tests of a store that answers nothing any more."""


@pytest.fixture
async def container(
    server: AzuriteServer, proxy: FaultProxy, prefix: str, patience: str
) -> AsyncIterator[Container]:
    """The storage, behind the proxy."""
    place = {"account_url": f"{proxy.url}/{ACCOUNT}"}
    options = {**place, "connect_timeout": "30 s", "read_timeout": patience}
    async with connect(f"azure://{CONTAINER}/{prefix}", server.options | options) as container:
        proxy.seen.clear()
        yield container


async def kept(server: AzuriteServer, prefix: str, *include: str) -> list[BlobProperties]:
    """What the store itself lists, whatever we make of it."""

    def ask() -> list[BlobProperties]:
        with ContainerClient(
            server.url, CONTAINER, credential={"account_name": ACCOUNT, "account_key": KEY}
        ) as client:
            return list(client.list_blobs(f"{prefix}/", include=["metadata", *include]))

    return await asyncio.to_thread(ask)


def asked(proxy: FaultProxy, method: str, part: str = "") -> int:
    """How many requests there were, probes left out."""
    return sum(
        seen.method == method and part in seen.target and "/probes/" not in seen.target
        for seen in proxy.seen
    )


async def broken(body: AsyncIterator[bytes]) -> tuple[bytes, Exception]:
    """What a body gives until it breaks off, and why it does."""
    given = b""
    try:
        async for chunk in body:
            given += chunk
    except errors.PypicloudError as error:
        return given, error
    raise AssertionError("the body ended as if whole")


async def found(container: Container, key: str) -> Stored:
    """What is known of a key that is there."""
    stored = await container.head(key)
    assert stored is not None
    return stored


class TestCreate:
    """Who created a key is known, whatever got lost."""

    @pytest.mark.parametrize("fault", [Fault.LOST, Fault.TRUNCATED, BUSY._replace(done=True)])
    async def test_lost_answers(
        self, container: Container, proxy: FaultProxy, fault: Fault | Answer
    ) -> None:
        """Where the answer got lost, the key is known to be ours, and shows nothing of it."""
        proxy.plan = Rule(fault, method="PUT", times=1)
        assert await container.create("a/b", b"content")
        assert asked(proxy, "PUT") == 2
        assert await content(container, "a/b") == b"content"
        assert (await found(container, "a/b")).metadata == {}
        assert [stored.metadata async for stored in container.scan()] == [{}]
        assert not await container.create("a/b", b"content")

    @pytest.mark.parametrize("answer", [EXISTS, UNMET])
    async def test_both_ways_to_say_taken(
        self, container: Container, proxy: FaultProxy, answer: Answer
    ) -> None:
        """409 and 412 both mean that there is a key; whose it is, the key itself tells."""
        proxy.plan = Rule(answer._replace(done=True), method="PUT")
        assert await container.create("a/b", b"content")
        assert not await container.create("a/b", b"content")

    async def test_taken_and_gone(self, container: Container, proxy: FaultProxy) -> None:
        """A key whose predecessor is gone meanwhile is created; what is no key stays in the way."""
        proxy.plan = Rule(EXISTS, method="PUT", times=1)
        assert await container.create("a/b", b"content")
        proxy.plan = Rule(EXISTS, method="PUT")
        with pytest.raises(errors.StorageUnavailable, match="409 BlobAlreadyExists"):
            await container.create("a/c", b"content")

    async def test_one_request(self, container: Container, proxy: FaultProxy) -> None:
        """A create that goes well is one request."""
        assert await container.create("a/b", b"content")
        assert len(proxy.seen) == 1

    async def test_refused_for_good(self, container: Container, proxy: FaultProxy) -> None:
        """What asking again cannot help is asked once."""
        proxy.plan = Rule(Answer(403, "Forbidden", ("x-ms-error-code: AuthorizationFailure",)))
        with pytest.raises(errors.StorageUnavailable, match="403 AuthorizationFailure"):
            await container.create("a/b", b"content")
        assert len(proxy.seen) == 1


class TestPut:
    """Few bytes go in one request, many in blocks."""

    @pytest.mark.parametrize(
        "size", [BLOCK, LARGEST - 1, LARGEST, LARGEST + 1, 3 * BLOCK - 1, 3 * BLOCK, 3 * BLOCK + 1]
    )
    async def test_sizes_about_a_block(
        self, container: Container, proxy: FaultProxy, size: int
    ) -> None:
        """Whatever the size, the bytes come back as they were."""
        whole = bytes(range(256)) * (size // 256 + 1)
        parts = [whole[at : min(at + 300_000, size)] for at in range(0, size, 300_000)]
        await put(container, "a/b", *parts)
        assert await content(container, "a/b") == whole[:size]
        assert asked(proxy, "PUT", "comp=blocklist") == (size > LARGEST)

    @pytest.mark.parametrize("parts", [[b"content"], LARGE])
    async def test_what_goes_with_the_bytes(
        self, server: AzuriteServer, container: Container, prefix: str, parts: list[bytes]
    ) -> None:
        """The blob has a type, the MD5 of all its bytes and the metadata."""
        await put(container, "a/b", *parts, metadata={"name": "x", "summary": "a (b) = c"})
        [blob] = await kept(server, prefix)
        assert blob.content_settings.content_type == "application/octet-stream"
        assert blob.content_settings.cache_control == "private, max-age=31536000, immutable"
        md5 = hashlib.md5(b"".join(parts), usedforsecurity=False).digest()
        assert bytes(blob.content_settings.content_md5 or b"") == md5
        assert blob.metadata == {"name": "x", "summary": "a (b) = c"}
        assert (await found(container, "a/b")).metadata == blob.metadata
        assert [stored.metadata async for stored in container.scan()] == [blob.metadata]

    @pytest.mark.parametrize(
        "metadata",
        [
            {"good": "x", "requires-python": ">=3"},
            {"good": "x", "1st": "x"},
            {"good": "x", "": "x"},
            {"good": "x", "other": "ä"},
            {"good": "x", "ä": "x"},
            {"good": "x", "other": ""},
            {"good": "x", "other": " x"},
            {"good": "x", "other": "x\n"},
            {"good": "x", "other": "x\ny: z"},
            {"good": "x", "GOOD": "y"},
            {"good": "x", "attempt": "y"},
            {"good": "x" * MAX_METADATA},
        ],
    )
    async def test_metadata_that_no_header_carries(
        self, container: Container, metadata: Mapping[str, str]
    ) -> None:
        """Names that are no identifiers, and values that are no plain text, keep all away."""
        await put(container, "a/b", b"content", metadata=metadata)
        assert (await found(container, "a/b")).metadata == {}

    async def test_much_metadata(self, container: Container) -> None:
        """As much as the store takes goes with the bytes, whatever the case of its names."""
        metadata = {f"Name_{n}": "x" * 70 for n in range(90)}
        await put(container, "a/b", b"content", metadata=metadata)
        assert (await found(container, "a/b")).metadata == metadata

    async def test_bounded_blocks_under_way(self, container: Container, proxy: FaultProxy) -> None:
        """Few blocks are under way at once, however slow the store is."""
        proxy.delay, proxy.busy = 0.1, 0
        proxy.plan = Rule(Fault.DELAYED, method="PUT")
        await put(container, "a/b", *[b"x" * BLOCK] * 8)
        assert asked(proxy, "PUT", "comp=block&") == 8
        assert proxy.busy <= UNDER_WAY

    @pytest.mark.parametrize("parts", [[b"content"], LARGE])
    async def test_bytes_that_change_on_the_way(
        self, container: Container, proxy: FaultProxy, parts: list[bytes]
    ) -> None:
        """The store refuses bytes that are not ours, and gets them again."""
        proxy.plan = Rule(Fault.SPOILED, method="PUT", times=1)
        await put(container, "a/b", *parts)
        assert await content(container, "a/b") == b"".join(parts)
        proxy.plan = Rule(Fault.SPOILED, method="PUT")
        with pytest.raises(errors.StorageUnavailable, match="400 Md5Mismatch"):
            await put(container, "a/b", *parts[::-1])
        proxy.plan = Rule(BUSY, times=0)
        assert await content(container, "a/b") == b"".join(parts)

    async def test_the_commit_is_lost(self, container: Container, proxy: FaultProxy) -> None:
        """A commit whose answer got lost is made again, with the same outcome."""
        proxy.plan = Rule(Fault.LOST, target="comp=blocklist", times=1)
        await put(container, "a/b", *LARGE)
        assert asked(proxy, "PUT", "comp=blocklist") == 2
        assert await content(container, "a/b") == b"".join(LARGE)

    async def test_cut_in_the_middle(
        self, server: AzuriteServer, container: Container, proxy: FaultProxy, prefix: str
    ) -> None:
        """Blocks of an upload that broke off are never seen, nor committed by the next one."""
        proxy.plan = Rule(BUSY, method="PUT", target="comp=block&", skip=1)
        with pytest.raises(errors.StorageUnavailable, match="503 ServerBusy"):
            await put(container, "a/b", *LARGE)
        proxy.plan = Rule(BUSY, times=0)
        assert await listed(container) == []
        assert await container.head("a/b") is None
        with pytest.raises(errors.KeyNotFound):
            await content(container, "a/b")
        assert asked(proxy, "PUT", "comp=blocklist") == 0
        [uncommitted] = await kept(server, prefix, "uncommittedblobs")
        assert uncommitted.size == 0
        await put(container, "a/b", *LARGE[::-1])
        assert await content(container, "a/b") == b"".join(LARGE[::-1])

    async def test_other_bytes_are_not_committed(
        self, container: Container, proxy: FaultProxy
    ) -> None:
        """Blocks that are not what was promised stay uncommitted."""

        async def slow() -> AsyncIterator[bytes]:
            async for chunk in chunks(*LARGE[:-1]):
                yield chunk
            while not asked(proxy, "PUT", "comp=block&"):
                await asyncio.sleep(0.01)
            yield LARGE[-1]

        with pytest.raises(errors.BlobDamaged):
            await container.put("a/b", slow(), size=len(LARGE) * 2**20, sha256="0" * 64)
        assert asked(proxy, "PUT", "comp=blocklist") == 0

    async def test_cancelled_during_the_commit(
        self, container: Container, proxy: FaultProxy
    ) -> None:
        """A cancellation waits for a commit under way, and is forgotten where it succeeds."""
        proxy.delay = 0.3
        proxy.plan = Rule(Fault.DELAYED, target="comp=blocklist")
        task = asyncio.create_task(put(container, "a/b", *LARGE))
        while not asked(proxy, "PUT", "comp=blocklist"):
            await asyncio.sleep(0.01)
        task.cancel()
        await task
        assert await content(container, "a/b") == b"".join(LARGE)

    async def test_raced(self, container: Container) -> None:
        """Of large puts that race the key is one, whole; a loser may be told to try again."""
        contents = [[bytes([n]) * 2**20] * 9 for n in range(3)]
        outcomes = await asyncio.gather(
            *(put(container, "a/b", *parts) for parts in contents), return_exceptions=True
        )
        assert None in outcomes
        for outcome in outcomes:
            assert outcome is None or isinstance(outcome, errors.StorageUnavailable)
        won = [b"".join(p) for p, o in zip(contents, outcomes, strict=True) if o is None]
        assert await content(container, "a/b") in won

    @HASTY
    async def test_a_store_that_takes_nothing(
        self, container: Container, proxy: FaultProxy
    ) -> None:
        """An upload that stalls is given up: aiohttp alone would wait for ever."""
        proxy.plan = Rule(Fault.SILENT, method="PUT")
        async with asyncio.timeout(120):
            with pytest.raises(errors.StorageUnavailable, match="did not answer in time"):
                await put(container, "a/b", b"content")


class TestGet:
    """Bodies come whole, and as they were, or not."""

    @pytest.mark.parametrize("fault", [Fault.TRUNCATED, Fault.LOST, Fault.STALLED, BUSY])
    @HASTY
    async def test_goes_on_where_it_broke(
        self, container: Container, proxy: FaultProxy, fault: Fault | Answer
    ) -> None:
        """A body that broke off goes on, in one more request."""
        await put(container, "a/b", *LARGE)
        proxy.seen.clear()
        proxy.plan = Rule(fault, method="GET", times=1)
        assert await content(container, "a/b") == b"".join(LARGE)
        assert asked(proxy, "GET") == 2

    async def test_broken_for_good(self, container: Container, proxy: FaultProxy) -> None:
        """As often as wanted it is tried, never more: the SDK's reader had tries of its own."""
        await put(container, "a/b", b"content")
        # After a reset aiohttp itself asks once more.
        for fault, most in ((BUSY, 3), (Fault.LOST, 6)):
            proxy.seen.clear()
            proxy.plan = Rule(fault, method="GET")
            with pytest.raises(errors.StorageUnavailable):
                await content(container, "a/b")
            assert 3 <= asked(proxy, "GET") <= most

    @HASTY
    async def test_replaced_while_it_is_read(self, container: Container, proxy: FaultProxy) -> None:
        """What broke off does not go on with the bytes of another."""
        await put(container, "a/b", *LARGE)
        proxy.plan = Rule(Fault.STALLED, method="GET", times=1)
        body = container.get("a/b")
        seen = await anext(body)
        await put(container, "a/b", *LARGE[::-1])
        given, error = await broken(body)
        assert isinstance(error, errors.StorageUnavailable)
        assert b"".join(LARGE).startswith(seen + given)

    @pytest.mark.parametrize("parts", [[b"content"], LARGE])
    async def test_bytes_that_change_on_the_way(
        self, container: Container, proxy: FaultProxy, parts: list[bytes]
    ) -> None:
        """A body without the MD5 that the store knows is never given whole."""
        await put(container, "a/b", *parts)
        proxy.plan = Rule(Fault.FLIPPED, method="GET", times=1)
        given, error = await broken(container.get("a/b"))
        assert isinstance(error, errors.BlobDamaged)
        assert len(given) < len(b"".join(parts))

    async def test_one_request(self, container: Container, proxy: FaultProxy) -> None:
        """A body is one request, however long, and so is an empty one."""
        await put(container, "a/b", *LARGE)
        await put(container, "a/empty")
        proxy.seen.clear()
        assert await content(container, "a/b") == b"".join(LARGE)
        assert await content(container, "a/empty") == b""
        assert len(proxy.seen) == 2


class TestAbsence:
    """Only what the store says to be absent is."""

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(404, "Not Found"),
            Answer(404, "Not Found", ("x-ms-error-code: ContainerNotFound",)),
            Answer(403, "Forbidden"),
            Answer(503, "Busy"),
        ],
    )
    async def test_other_answers_are_no_absence(
        self, container: Container, proxy: FaultProxy, answer: Answer
    ) -> None:
        """A container that is gone, or a proxy's own 404, is not taken for an absent key."""
        proxy.plan = Rule(answer)
        for asking in (
            container.head("a/b"),
            content(container, "a/b"),
            container.delete("a/b"),
            container.delete_many(["a/b", "a/c"]),
            listed(container),
        ):
            with pytest.raises(errors.StorageUnavailable):
                await asking


class TestDeleteMany:
    """Many keys go in few requests."""

    async def test_requests(self, container: Container, proxy: FaultProxy) -> None:
        """Up to 256 keys go in one."""
        names = [f"a/{n:03}" for n in range(300)]
        await asyncio.gather(*(container.create(name, b"") for name in names))
        proxy.seen.clear()
        await container.delete_many(names)
        assert len(proxy.seen) == 2
        assert await listed(container) == []

    async def test_without_batches(self, container: Container, proxy: FaultProxy) -> None:
        """Where the store takes no batches, keys go one by one."""
        for name in ("a", "b"):
            assert await container.create(name, b"")
        proxy.plan = Rule(Answer(501, "Not Implemented"), target="comp=batch")
        await container.delete_many(["a", "b", "c"])
        assert asked(proxy, "DELETE") == 3
        assert await listed(container) == []

    async def test_some_stay(self, container: Container, proxy: FaultProxy) -> None:
        """Where one cannot be deleted, the others are before it is told."""
        for name in ("a", "b", "c"):
            assert await container.create(name, b"")
        immutable = Answer(409, "Conflict", ("x-ms-error-code: BlobImmutableDueToPolicy",))
        proxy.plan = Rule(immutable, target="comp=batch|/b$")
        with pytest.raises(errors.StorageUnavailable, match="BlobImmutableDueToPolicy"):
            await container.delete_many(["a", "b", "c"])
        assert await listed(container) == ["b"]

    async def test_nobody_there(self, container: Container, proxy: FaultProxy) -> None:
        """A store that is down is not asked for each of a thousand keys."""
        with proxy.refusing(), pytest.raises(errors.StorageUnavailable, match="reached at"):
            await container.delete_many([f"a/{n}" for n in range(1000)])


class TestScan:
    """Lists come by pages."""

    async def test_pages(self, container: Container, proxy: FaultProxy) -> None:
        """A page that broke is asked for again, and nothing is seen twice."""
        names = sorted(f"a/{n}" for n in range(PAGE + 10))
        left = iter(names)

        async def write() -> None:
            for name in left:
                assert await container.create(name, b"")

        await asyncio.gather(*(write() for _ in range(16)))
        proxy.seen.clear()
        proxy.plan = Rule(Fault.TRUNCATED, target="comp=list", skip=1, times=1)
        assert await listed(container, "a/") == names
        assert len(proxy.seen) == 3

    async def test_what_others_put_there(
        self, server: AzuriteServer, container: Container, prefix: str
    ) -> None:
        """Names that are no keys of ours are seen all the same; the prefix itself is none."""
        names = ["", "a//b", "ä/ö", "a b\\c".replace("\\", ""), "plain"]

        def write() -> None:
            with ContainerClient(
                server.url, CONTAINER, credential={"account_name": ACCOUNT, "account_key": KEY}
            ) as client:
                for name in names:
                    client.upload_blob(f"{prefix}/{name}", b"x")

        await asyncio.to_thread(write)
        assert await listed(container) == sorted(name for name in names if name)


async def test_snapshots_go_with_their_blob(
    server: AzuriteServer, container: Container, prefix: str
) -> None:
    """A blob that somebody took snapshots of can be deleted."""
    assert await container.create("a/b", b"content")

    def snapshot() -> None:
        with ContainerClient(
            server.url, CONTAINER, credential={"account_name": ACCOUNT, "account_key": KEY}
        ) as client:
            client.get_blob_client(f"{prefix}/a/b").create_snapshot()

    await asyncio.to_thread(snapshot)
    await container.delete("a/b")
    assert await container.head("a/b") is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"<a><Blobs><Blob/></Blobs></a>"])
async def test_what_is_no_list(container: Container, proxy: FaultProxy, body: bytes) -> None:
    """An answer that is no list of blobs is no empty storage."""
    proxy.plan = Rule(Answer(200, "OK", ("Content-Type: application/xml",), body))
    with pytest.raises(errors.StorageUnavailable, match="answers with no list"):
        await listed(container)


def test_names_that_xml_cannot_hold() -> None:
    """They come encoded, and are decoded."""
    properties = (
        "<Properties><Content-Length>3</Content-Length><Etag>0x1</Etag>"
        "<Last-Modified>Tue, 24 Nov 2026 00:00:00 GMT</Last-Modified></Properties>"
    )
    names = '<Name Encoded="true">a%01b</Name>', "<Name>a%01b</Name>"
    blobs = "".join(f"<Blob>{name}{properties}</Blob>" for name in names)
    page = parse(f"<R><Blobs>{blobs}</Blobs><NextMarker>m</NextMarker></R>".encode())
    assert [found.name for found in page.blobs] == ["a\x01b", "a%01b"]
    assert page.following == "m"


async def test_five_gibibytes_in_blocks(
    container: Container, proxy: FaultProxy, prefix: str
) -> None:
    """A thousand blocks and more make one blob, in their order; scaled to a hundredth."""
    length, count = BLOCK // 100, 5 * 2**30 // BLOCK
    blocks = Blocks(container._requests, f"{prefix}/a", length=length)
    whole = hashlib.sha256()
    for number in range(count):
        block = number.to_bytes(4, "big") * (length // 4) + bytes(length % 4)
        whole.update(block)
        await blocks.add(block)
    await blocks.arrived()
    assert await container.head("a") is None
    await container._requests.commit(f"{prefix}/a", blocks.sent, ContentSettings(), {})
    seen = hashlib.sha256()
    async for chunk in container.get("a"):
        seen.update(chunk)
    assert seen.digest() == whole.digest()
    assert asked(proxy, "PUT", "comp=block&") == count
    assert len(set(blocks.sent)) == count


@pytest.mark.parametrize(
    ("code", "archived"), [("BlobArchived", True), ("ServerBusy", False), ("", False)]
)
def test_an_archived_blob_is_no_outage(code: str, archived: bool) -> None:
    """Only what Azure answers of a blob in its archive is about that blob alone."""
    assert failures.answered(409, code, "why").archived is archived
