"""Files whose bytes go through the service: verified, never short, never too many at once."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from app import errors
from app.config import Settings
from app.guard import BodyLimits, Guard, Hosts, Proxies
from app.protocol import Protocol
from app.routes import streaming
from app.storage.memory import MemoryStorage
from tests.conftest import ADMIN
from tests.factories import Made, form, make_wheel
from tests.routes.stage import Stage, opened
from tests.serving import Served, read_answer

CHUNK = 2**16
SMALL = make_wheel("demo", "1.0")
LARGE = make_wheel("large", "1.0", files={"large.bin": os.urandom(2**23)})
"""More than the sockets of both sides and the server hold together."""


class Slow(MemoryStorage):
    """A storage that gives small chunks, and can break in every way; it counts what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.given = 0
        self.open = 0
        self.closed = asyncio.Event()
        self.stop: int | None = None
        """Bytes after which it gives no more, until it is closed."""
        self.fail: tuple[int, Exception] | None = None
        """Bytes after which it raises."""
        self.damage: int | None = None
        """The position of a byte that it gives wrongly."""

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        whole = bytearray(b"".join([chunk async for chunk in super().get(key)]))
        if self.damage is not None and not key.endswith(".json"):
            whole[self.damage] ^= 1
        self.open += 1
        try:
            for position in range(start, len(whole) if end is None else end, CHUNK):
                if self.fail is not None and position >= self.fail[0]:
                    raise self.fail[1]
                if self.stop is not None and position >= self.stop:
                    await asyncio.Event().wait()
                chunk = bytes(whole[position : min(position + CHUNK, end or len(whole))])
                self.given += len(chunk)
                yield chunk
        finally:
            self.open -= 1
            self.closed.set()


@pytest.fixture
def storage() -> Slow:
    """The storage of the server."""
    return Slow()


@pytest.fixture
async def stage(tmp_path: Path, storage: Slow) -> AsyncIterator[Stage]:
    """An index that everyone may read, with a small and a large wheel."""
    async with opened(tmp_path, "everyone", storage=storage) as stage:
        for made in (SMALL, LARGE):
            await stage.publish(made, metadata=b"Name: x\n")
        yield stage


@pytest.fixture
async def port(stage: Stage) -> AsyncIterator[int]:
    """The port of a real server, guarded, on our protocol."""
    async with listening(stage, Protocol) as port:
        yield port


@asynccontextmanager
async def listening(stage: Stage, protocol: type[asyncio.Protocol]) -> AsyncIterator[int]:
    """Serve the stage on a loopback port."""
    app = Guard(stage.app, hosts=Hosts(), proxies=Proxies((), hops=1), limits=BodyLimits(upload=0))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, lifespan="off", http=protocol, ws="none", log_config=None)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


def request(made: Made, *headers: str, version: str = "1.1") -> bytes:
    """A GET of the file."""
    path = f"/files/{made.filename.partition('-')[0]}/{made.filename}"
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: localhost", *headers, "", ""]).encode()


async def get(port: int, made: Made, **headers: str) -> httpx.Response:
    """The answer to a GET of the file."""
    url = f"http://127.0.0.1:{port}/files/{made.filename.partition('-')[0]}/{made.filename}"
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url, headers=headers)


async def until(true: Callable[[], bool]) -> None:
    """Return once it is so; fail after ten seconds."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


class TestVerified:
    """What the storage gives is compared with what was recorded."""

    @pytest.mark.parametrize("made", [SMALL, LARGE], ids=["small", "large"])
    async def test_fil_1_whole(self, port: int, made: Made, storage: Slow) -> None:
        """The bytes are those that were uploaded, and the storage's stream is closed."""
        response = await get(port, made)
        assert (response.status_code, response.content) == (200, made.content)
        assert storage.open == 0

    async def test_a_wrong_byte_withholds_the_end(
        self, port: int, storage: Slow, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The body breaks off before its end, whatever its last chunk; the log has one line."""
        storage.damage = len(LARGE.content) // 2
        received = 0

        async def read() -> None:
            nonlocal received
            url = f"http://127.0.0.1:{port}/files/large/{LARGE.filename}"
            async with (
                httpx.AsyncClient(trust_env=False) as client,
                client.stream("GET", url) as response,
            ):
                assert response.status_code == 200
                async for chunk in response.aiter_raw():
                    received += len(chunk)

        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await read()
        assert 0 < received < len(LARGE.content)
        await until(lambda: bool(caplog.records))
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "BlobDamaged" in record.message
        assert LARGE.filename in record.message

    async def test_a_wrong_byte_of_one_chunk_is_500(self, port: int, storage: Slow) -> None:
        """Where nothing was sent yet, the answer says that it is our fault."""
        storage.damage = 0
        assert (await get(port, SMALL)).status_code == 500

    @pytest.mark.parametrize("header", ["", "Connection: keep-alive"])
    async def test_http_1_0_sees_no_end(self, port: int, storage: Slow, header: str) -> None:
        """Whoever reads until the connection ends, without a look at the length, gets a reset."""
        storage.damage = len(LARGE.content) - 1

        def read() -> int:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connected:
                asked = request(LARGE, *filter(None, [header]), version="1.0")
                connected.sendall(asked)
                total = 0
                while chunk := connected.recv(65536):
                    total += len(chunk)
                return total

        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(read)

    async def test_http_1_0_gets_the_whole(self, port: int) -> None:
        """A client of former times gets length and bytes, and then the end."""

        def read() -> tuple[bytes, bytes]:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connected:
                connected.sendall(request(SMALL, version="1.0"))
                answer = read_answer(connected)
                assert answer.headers["content-length"] == str(len(SMALL.content))
                return answer.body, connected.recv(1)

        assert await asyncio.to_thread(read) == (SMALL.content, b"")

    async def test_fil_3_ranges_are_passed_on(self, port: int, storage: Slow) -> None:
        """Of a range, the storage is asked for no more than that."""
        response = await get(port, LARGE, Range="bytes=1000000-1000009")
        assert response.status_code == 206
        assert response.content == LARGE.content[1000000:1000010]
        assert storage.given == 10

    async def test_fil_3_a_range_of_all_is_verified(self, port: int, storage: Slow) -> None:
        """Whoever asks for everything as a range gets no wrong bytes either."""
        storage.damage = 0
        assert (await get(port, SMALL, Range="bytes=0-")).status_code == 500

    async def test_met_3_damaged_metadata_is_500(self, port: int, storage: Slow) -> None:
        """Core metadata with another hash than the page says is not handed out."""
        storage.damage = 0
        url = f"http://127.0.0.1:{port}/files/demo/{SMALL.filename}.metadata"
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(url)).status_code == 500

    @pytest.mark.parametrize("method", ["HEAD", "GET"])
    async def test_fil_4_what_needs_no_bytes_reads_none(
        self, port: int, storage: Slow, method: str
    ) -> None:
        """HEAD and 304 are answered from the record alone."""
        headers = {} if method == "HEAD" else {"If-None-Match": f'"{LARGE.sha256}"'}
        url = f"http://127.0.0.1:{port}/files/large/{LARGE.filename}"
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.request(method, url, headers=headers)
        assert response.status_code == (200 if method == "HEAD" else 304)
        assert storage.given == 0


class TestFolder:
    """The whole service on a folder, as it is run."""

    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        """Settings with a folder that everyone may read."""
        more = {"storage": f"file:{tmp_path}/packages", "default_read": frozenset({"everyone"})}
        return settings.model_copy(update=more)

    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    def test_a_byte_that_rotted(self, service: Served, tmp_path: Path, version: str) -> None:
        """What a disk changed is not taken for the file, by a client of whatever time."""
        uploaded = httpx.post(
            f"{service.url}/legacy/",
            data=form(LARGE, "large", "1.0"),
            files={"content": LARGE},
            auth=ADMIN,
            trust_env=False,
        )
        assert uploaded.status_code == 200, uploaded.text
        (blob,) = (tmp_path / "packages").glob(f"blobs/**/{LARGE.filename}")
        with blob.open("r+b") as file:
            file.write(bytes([LARGE.content[0] ^ 1]))

        def read() -> None:
            with service.connection() as connected:
                connected.sendall(request(LARGE, version=version))
                while connected.recv(65536):
                    pass

        with pytest.raises(ConnectionResetError):
            read()


class TestUnavailable:
    """The storage fails."""

    @pytest.mark.parametrize("made", [SMALL, LARGE], ids=["small", "large"])
    async def test_before_the_first_byte(self, port: int, storage: Slow, made: Made) -> None:
        """503, and when to try again."""
        storage.fail = (0, errors.StorageUnavailable("The storage does not answer"))
        response = await get(port, made)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert response.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize(
        "failure",
        [errors.StorageUnavailable("The storage went away"), ConnectionResetError("unforeseen")],
        ids=["ours", "another"],
    )
    async def test_amid_the_body(self, port: int, storage: Slow, failure: Exception) -> None:
        """The connection is cut; what came does not look whole."""
        storage.fail = (2**20, failure)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await get(port, LARGE)
        assert storage.open == 0

    async def test_amid_a_range(self, port: int, storage: Slow) -> None:
        """A part that breaks off is cut as well."""
        storage.fail = (2**20, errors.StorageUnavailable("The storage went away"))
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await get(port, LARGE, Range="bytes=1-")

    async def test_under_another_protocol(self, stage: Stage, storage: Slow) -> None:
        """Under plain uvicorn, too, a body that breaks off never looks whole."""
        storage.fail = (2**20, errors.StorageUnavailable("The storage went away"))
        plain: type[asyncio.Protocol] = Protocol.__mro__[1]
        async with listening(stage, plain) as port:
            with pytest.raises(httpx.RemoteProtocolError):
                await get(port, LARGE)


class TestClients:
    """What clients do to us."""

    @pytest.mark.parametrize("stop", [None, 2**18], ids=["flooding", "stalled"])
    async def test_whoever_leaves_ends_the_stream(
        self, port: int, storage: Slow, stop: int | None
    ) -> None:
        """The storage's stream is closed at once, whether it gives or is waited for."""
        storage.stop = stop
        storage.closed.clear()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connected:
            connected.sendall(request(LARGE))
            await until(lambda: storage.given >= 2**18)
            assert storage.open == 1
        async with asyncio.timeout(10):
            await storage.closed.wait()
        assert storage.open == 0
        assert storage.given < len(LARGE.content)

    async def test_who_does_not_read_is_not_read_for(self, port: int, storage: Slow) -> None:
        """While a client takes nothing, no more than a few chunks wait for it."""
        with socket.socket() as connected:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**14)
            connected.connect(("127.0.0.1", port))
            connected.sendall(request(LARGE))
            await until(lambda: storage.given > 0)
            given = -1
            while given != storage.given:
                given = storage.given
                await asyncio.sleep(0.5)
        # The kernel takes up to 4 MiB off the server's hands (net.ipv4.tcp_wmem).
        assert given < 2**22 + 2**20 + 4 * CHUNK


class TestWhole:
    """The verification by itself."""

    @pytest.mark.parametrize(
        ("given", "sent"),
        [
            ([], []),
            ([b""], []),
            ([b"ab"], [b"ab"]),
            ([b"a", b"", b"b", b""], [b"a", b"b"]),
            ([b"a" * 2**20, b"b" * 2**19, b"c"], [b"a" * 2**20, b"b" * 2**19, b"c"]),
        ],
    )
    async def test_right_bytes_pass(self, given: list[bytes], sent: list[bytes]) -> None:
        """In the chunks that the storage gave; none of them empty."""
        content = b"".join(given)
        passed = await passing(given, len(content), hashlib.sha256(content).hexdigest())
        assert passed == (sent, False)

    @pytest.mark.parametrize(
        ("given", "size", "content", "sent"),
        [
            ([], 1, b"a", []),
            ([b"a"], 0, b"", []),
            ([b"a", b"b"], 3, b"abc", [b"a"]),
            ([b"a", b"b", b"c"], 2, b"ab", [b"a"]),
            ([b"a", b"b", b"d"], 3, b"abc", [b"a", b"b"]),
            ([b"a", b"b", b""], 2, b"ac", [b"a"]),
            ([], 0, b"a", []),
        ],
        ids=["none", "some", "short", "long", "wrong", "empty at the end", "another hash"],
    )
    async def test_the_last_chunk_of_wrong_bytes_stays_here(
        self, given: list[bytes], size: int, content: bytes, sent: list[bytes]
    ) -> None:
        """Whatever is wrong with them, fewer bytes pass than were promised."""
        passed = await passing(given, size, hashlib.sha256(content).hexdigest())
        assert passed == (sent, True)


async def passing(given: list[bytes], size: int, sha256: str) -> tuple[list[bytes], bool]:
    """What passes of these chunks, and whether that ends with BlobDamaged."""

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in given:
            yield chunk

    passed: list[bytes] = []
    body = streaming.whole(chunks(), filename="x.whl", size=size, sha256=sha256)
    try:
        async for chunk in body:
            passed.append(chunk)  # noqa: PERF401  # what came before an error counts
    except errors.BlobDamaged:
        return passed, True
    return passed, False
