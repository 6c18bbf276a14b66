"""``/files/`` over HTTP: bytes, ranges, conditions, core metadata, rights."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from packaging.utils import NormalizedName

from app.models import File, Permission, Status
from app.routes.ranges import Span, Unsatisfiable, span
from app.storage.memory import MemoryStorage
from tests.factories import make_sdist, make_wheel
from tests.routes.stage import ADA, Located, Stage, opened

WHEEL = make_wheel("demo", "1.0")
SIZE = len(WHEEL.content)
URL = f"/files/demo/{WHEEL.filename}"
METADATA = b"Metadata-Version: 2.4\nName: demo\nVersion: 1.0\n\nna\xc3\xafve\n"
DEMO = NormalizedName("demo")
METHODS = pytest.mark.parametrize("method", ["GET", "HEAD"])
BOTH = pytest.mark.parametrize("url", [URL, f"{URL}.metadata"])


@pytest.fixture
async def demo(stage: Stage) -> Stage:
    """The index with one wheel."""
    await stage.publish(WHEEL, metadata=METADATA)
    return stage


async def get(stage: Stage, url: str, method: str = "GET", **headers: str) -> httpx.Response:
    """An anonymous answer."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with stage.client() as client:
        return await client.request(method, url, headers=sent)


class TestFiles:
    """Whole files."""

    async def test_fil_1_the_bytes_are_those_of_the_page(self, demo: Stage) -> None:
        """Hash and size of the body are those that the page says."""
        page = await get(demo, "/simple/demo/", Accept="application/vnd.pypi.simple.v1+json")
        (listed,) = page.json()["files"]
        response = await get(demo, URL)
        assert response.status_code == 200
        assert hashlib.sha256(response.content).hexdigest() == listed["hashes"]["sha256"]
        assert len(response.content) == listed["size"] == int(response.headers["content-length"])

    @BOTH
    @pytest.mark.parametrize("coding", ["gzip, deflate", "identity", "*", "zstd,gzip,deflate"])
    async def test_fil_2_never_packed(self, demo: Stage, url: str, coding: str) -> None:
        """Whatever codings the client takes, it gets the bytes as they are."""
        response = await get(demo, url, Accept_Encoding=coding)
        assert "content-encoding" not in response.headers
        assert response.content == (METADATA if url.endswith(".metadata") else WHEEL.content)

    @pytest.mark.parametrize(
        ("asked", "start", "end"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=10-19", 10, 20),
            ("bytes=10-", 10, SIZE),
            ("bytes=-10", SIZE - 10, SIZE),
            ("bytes=-10000000", 0, SIZE),
            ("bytes=5-99999999", 5, SIZE),
            ("Bytes= 1-2 ", 1, 3),
        ],
    )
    async def test_fil_3_ranges(self, demo: Stage, asked: str, start: int, end: int) -> None:
        """One range is answered with exactly its bytes."""
        response = await get(demo, URL, Range=asked)
        assert response.status_code == 206
        assert response.content == WHEEL.content[start:end]
        assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
        assert response.headers["content-length"] == str(end - start)

    @pytest.mark.parametrize(
        "asked",
        ["bytes=0-1,3-4", "lines=0-1", "bytes=2-1", "bytes=-", "bytes=a-b", "0-1", "bytes=+1-2"],
    )
    async def test_fil_3_what_is_no_single_range_is_ignored(self, demo: Stage, asked: str) -> None:
        """The whole file is sent."""
        response = await get(demo, URL, Range=asked)
        assert (response.status_code, response.content) == (200, WHEEL.content)
        assert response.headers["accept-ranges"] == "bytes"

    @BOTH
    @pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0"])
    async def test_fil_3_beyond_the_end_is_416(self, demo: Stage, url: str, asked: str) -> None:
        """The answer says how much there is."""
        response = await get(demo, url, Range=asked)
        size = len(METADATA) if url.endswith(".metadata") else SIZE
        assert response.status_code == 416
        assert response.headers["content-range"] == f"bytes */{size}"

    @pytest.mark.parametrize(
        ("condition", "status"),
        [
            (f'"{WHEEL.sha256}"', 206),
            (f'W/"{WHEEL.sha256}"', 200),
            ('"other"', 200),
            ("Sun, 22 Nov 2026 12:00:00 GMT", 200),
        ],
    )
    async def test_fil_3_if_range(self, demo: Stage, condition: str, status: int) -> None:
        """A part is sent only of the very file that the client began with."""
        response = await get(demo, URL, Range="bytes=1-2", If_Range=condition)
        assert response.status_code == status

    async def test_fil_3_metadata_has_ranges_too(self, demo: Stage) -> None:
        """Core metadata can be asked for in part."""
        response = await get(demo, f"{URL}.metadata", Range="bytes=-4")
        assert (response.status_code, response.content) == (206, METADATA[-4:])

    async def test_fil_4_one_strong_tag(self, demo: Stage) -> None:
        """GET, HEAD and parts have the sha256 for a tag."""
        answers = [
            await get(demo, URL),
            await get(demo, URL, "HEAD"),
            await get(demo, URL, Range="bytes=0-1"),
        ]
        assert {answer.headers["etag"] for answer in answers} == {f'"{WHEEL.sha256}"'}

    @BOTH
    @METHODS
    @pytest.mark.parametrize("given", ["{}", "W/{}", '"x", {}', "*"])
    async def test_fil_4_304(self, demo: Stage, url: str, method: str, given: str) -> None:
        """Whoever has the file gets 304, even when asking for a part of it."""
        first = await get(demo, url)
        tag = given.format(first.headers["etag"])
        again = await get(demo, url, method, If_None_Match=tag, Range="bytes=0-1")
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["cache-control"] == first.headers["cache-control"]

    @BOTH
    async def test_fil_5_files_are_kept_for_ever(self, demo: Stage, url: str) -> None:
        """What everyone may have, every cache may keep."""
        response = await get(demo, url)
        assert response.headers["cache-control"] == "max-age=31536000, immutable"
        assert "vary" not in response.headers

    @BOTH
    async def test_fil_5_private_files_are_private(self, private: Stage, url: str) -> None:
        """What needs credentials is for their owner's cache alone."""
        await private.publish(WHEEL, metadata=METADATA)
        async with private.client(*await private.user("ada")) as client:
            response = await client.get(url)
        assert response.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert response.headers["vary"] == "Authorization, Cookie"

    async def test_fil_8_nothing_renames_the_file(self, demo: Stage) -> None:
        """The URL says the name; no header says another."""
        assert "content-disposition" not in (await get(demo, URL)).headers

    @BOTH
    async def test_fil_9_bytes_are_only_bytes(self, demo: Stage, url: str) -> None:
        """No browser may take a file for a page."""
        response = await get(demo, url)
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["x-content-type-options"] == "nosniff"

    @BOTH
    async def test_url_6_head_is_get_without_body(self, demo: Stage, url: str) -> None:
        """Every header is the same, the length included; a range is for GET alone."""
        whole = await get(demo, url)
        head = await get(demo, url, "HEAD", Range="bytes=0-1")
        assert (head.status_code, head.content) == (200, b"")
        assert dict(head.headers) == dict(whole.headers)

    async def test_url_13_epochs_and_local_versions(self, stage: Stage) -> None:
        """Escaped or not, the filename is found."""
        made = make_wheel("demo", "1!1.0+local.1")
        await stage.publish(made)
        for spelled in (made.filename, made.filename.replace("+", "%2B").replace("!", "%21")):
            assert (await get(stage, f"/files/demo/{spelled}")).content == made.content

    @METHODS
    @pytest.mark.parametrize(
        "path",
        [
            "/files/demo/demo-2.0-py3-none-any.whl",
            "/files/unknown/demo-1.0-py3-none-any.whl",
            "/files/demo/demo-2.0-py3-none-any.whl.metadata",
            "/files/demo/.metadata",
            "/files/demo/-",
            "/files/demo/x%00y",
            "/files/-/x",
            "/files/demo/" + "x" * 300,
            f"{URL}.metadata.metadata",
            f"{URL}.asc",
            f"{URL}/",
            "/files/demo/",
            "/files/",
        ],
    )
    async def test_fil_10_unknown_is_404(self, demo: Stage, method: str, path: str) -> None:
        """What is not there is 404, and no cache keeps that."""
        response = await get(demo, path, method)
        assert response.status_code == 404
        assert response.headers["cache-control"] == "no-store"

    async def test_fil_10_deleted_is_404(self, stage: Stage) -> None:
        """A deleted file is gone, and its metadata too."""
        file = await stage.publish(WHEEL)
        await stage.index.delete(file, ADA)
        for url in (URL, f"{URL}.metadata"):
            assert (await get(stage, url)).status_code == 404

    @BOTH
    async def test_fil_10_rights(self, private: Stage, url: str) -> None:
        """Without the right to read, a file is 401 or 403, there or not."""
        await private.publish(WHEEL)
        await private.user("ada")
        await private.grant("demo", "user:ada", Permission.READ)
        async with private.client(*await private.user("bob")) as client:
            for path in (url, url.replace("1.0", "9.9")):
                assert (await get(private, path)).status_code == 401
                assert (await client.get(path)).status_code == 403

    @BOTH
    @METHODS
    async def test_sta_2_quarantine_refuses_files(self, demo: Stage, method: str, url: str) -> None:
        """Direct URLs refuse too, also for whoever has the file already."""
        await demo.index.set_status(DEMO, Status.QUARANTINED, None, ADA)
        assert (await get(demo, url, method)).status_code == 403
        assert (await get(demo, url, method, If_None_Match="*")).status_code == 403

    @BOTH
    async def test_ynk_1_yanked_files_are_handed_out(self, stage: Stage, url: str) -> None:
        """A yank takes nothing away from who pinned the file."""
        file = await stage.publish(WHEEL)
        await stage.index.yank([file], "broken", ADA)
        assert (await get(stage, url)).status_code == 200

    @BOTH
    async def test_url_3_other_spellings_are_redirected(self, demo: Stage, url: str) -> None:
        """Of a file that is there; its name stays as it is."""
        response = await get(demo, url.replace("/demo/", "/De_Mo/"))
        assert response.status_code == 404
        response = await get(demo, url.replace("/demo/", "/Demo/"))
        assert (response.status_code, response.headers["location"]) == (301, url)


class TestLocated:
    """Files that the storage hands out itself."""

    @pytest.fixture
    async def located(self, tmp_path: Path) -> AsyncIterator[Stage]:
        """An index on such a storage, with one wheel."""
        async with opened(tmp_path, "everyone", storage=Located()) as stage:
            await stage.publish(WHEEL, metadata=METADATA)
            yield stage

    async def test_fil_7_redirected_for_once(self, located: Stage) -> None:
        """The redirect is temporary, and neither kept nor shared: it carries a signature."""
        response = await get(located, URL, Range="bytes=0-1")
        assert response.status_code == 302
        assert response.headers["location"].startswith("https://bucket.example/")
        assert response.headers["cache-control"] == "private, no-store"

    async def test_fil_3_ranges_are_for_the_storage(self, located: Stage) -> None:
        """Whatever range is asked for, even one beyond the end, the storage answers."""
        for asked in ("bytes=0-1", "bytes=99999999-", "lines=1"):
            response = await get(located, URL, Range=asked, If_Range='"other"')
            assert (response.status_code, response.content) == (302, b"")
            assert "content-range" not in response.headers

    async def test_fil_7_the_same_for_a_while(self, located: Stage) -> None:
        """Whoever asks again is led to the same URL, which was signed once."""
        found = await asyncio.gather(*(get(located, URL) for _ in range(20)))
        assert {response.headers["location"] for response in found} == {
            (await get(located, URL)).headers["location"]
        }
        assert isinstance(located.storage, Located)
        assert located.storage.signed == 1

    async def test_fil_10_nobody_without_the_right_sees_a_url(self, tmp_path: Path) -> None:
        """401 and 403 come before anything is signed."""
        async with opened(tmp_path, storage=Located()) as stage:
            await stage.publish(WHEEL)
            async with stage.client(*await stage.user("bob")) as client:
                refused = [await get(stage, URL), await client.get(URL)]
            assert [response.status_code for response in refused] == [401, 403]
            assert all("location" not in response.headers for response in refused)
            assert isinstance(stage.storage, Located)
            assert stage.storage.signed == 0

    async def test_fil_7_head_is_answered_here(self, located: Stage) -> None:
        """The storage's URL is signed for GET alone."""
        response = await get(located, URL, "HEAD")
        assert (response.status_code, response.headers["content-length"]) == (200, str(SIZE))

    async def test_fil_7_not_for_what_the_client_has(self, located: Stage) -> None:
        """304 needs no storage; the tag of anything else leads there."""
        response = await get(located, URL, If_None_Match=f'"{WHEEL.sha256}"')
        assert response.status_code == 304
        assert response.headers["etag"] == f'"{WHEEL.sha256}"'
        response = await get(located, URL, If_None_Match='"the-tag-of-the-store"')
        assert response.status_code == 302

    async def test_met_1_metadata_is_answered_here(self, located: Stage) -> None:
        """Core metadata is small: it is never redirected."""
        response = await get(located, f"{URL}.metadata")
        assert (response.status_code, response.content) == (200, METADATA)


class TestMetadata:
    """Core metadata beside the files."""

    async def test_met_1_to_3_what_is_advertised_is_there(self, demo: Stage) -> None:
        """Byte for byte, with the hash that the page says."""
        page = await get(demo, "/simple/demo/", Accept="application/vnd.pypi.simple.v1+json")
        (listed,) = page.json()["files"]
        response = await get(demo, f"{URL}.metadata")
        assert response.content == METADATA
        assert listed["core-metadata"]["sha256"] == hashlib.sha256(METADATA).hexdigest()
        assert response.headers["etag"] == f'"{listed["core-metadata"]["sha256"]}"'

    @pytest.mark.parametrize("static", [True, False])
    async def test_met_4_to_6_sdists(self, stage: Stage, static: bool) -> None:
        """An sdist's metadata is offered where a build cannot change it; else it is 404."""
        made = make_sdist("demo", "1.0")
        await stage.publish(made, metadata_static=static)
        page = await get(stage, "/simple/demo/", Accept="application/vnd.pypi.simple.v1+json")
        assert ("core-metadata" in page.json()["files"][0]) is static
        response = await get(stage, f"/files/demo/{made.filename}.metadata")
        assert response.status_code == (200 if static else 404)

    async def test_met_7_ready_with_the_page(self, stage: Stage) -> None:
        """When the upload is done, page, file and metadata are all there."""
        await stage.publish(WHEEL)
        for url in ("/simple/demo/", URL, f"{URL}.metadata"):
            assert (await get(stage, url)).status_code == 200


class Breaking(MemoryStorage):
    """A storage whose bodies break off, or end too early without a word."""

    raising = True

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        whole = b"".join([chunk async for chunk in super().get(key)])
        for start in (0, 100):
            yield whole[start : start + 100]
        if self.raising:
            raise ConnectionResetError("the store went away")


class TestBroken:
    """What happens when bytes are missing."""

    @pytest.fixture(params=["raising", "short"])
    async def breaking(self, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
        """The URL of a real server whose storage breaks."""
        storage = Breaking()
        storage.raising = request.param == "raising"
        async with opened(tmp_path, "everyone", storage=storage) as stage:
            await stage.publish(WHEEL)
            with socket.create_server(("127.0.0.1", 0)) as listener:
                config = uvicorn.Config(stage.app, lifespan="off", log_level="critical")
                server = uvicorn.Server(config)
                serving = asyncio.create_task(server.serve(sockets=[listener]))
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
                server.should_exit = True
                await serving

    async def test_a_body_that_breaks_off_never_looks_whole(self, breaking: str) -> None:
        """The connection is cut before the promised length, so no client takes the part."""
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(f"{breaking}{URL}")

    async def test_bytes_that_are_lost_are_an_error_of_ours(self, stage: Stage) -> None:
        """500, not 404: the index knows that the file exists."""
        file: File = await stage.publish(WHEEL)
        await stage.storage.delete(file.blob)
        await stage.storage.delete(f"{file.blob}.metadata")
        for url in (URL, f"{URL}.metadata"):
            assert (await get(stage, url)).status_code == 500


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("bytes=0-", Span(0, 100)),
        ("bytes=99-", Span(99, 100)),
        ("bytes=-1", Span(99, 100)),
        ("bytes=0-18446744073709551615", None),
        ("bytes=\u0661-2", None),
    ],
)
def test_spans(header: str | None, expected: Span | None) -> None:
    """Only plain digits of a sane length are numbers."""
    assert span(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_spans_beyond_the_end(header: str) -> None:
    """A range that holds no byte cannot be satisfied."""
    with pytest.raises(Unsatisfiable):
        span(header, 100)
