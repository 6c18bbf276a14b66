"""URLs of Google Cloud Storage: equal to the SDK's, verified by the store, and cheap."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import httpx
import pytest
from gcloud.aio import storage as sdk
from ulid import ULID

from app import errors
from app.storage import window
from app.storage.gcs import connect, credentials, signing
from app.storage.gcs.bucket import Bucket
from app.storage.gcs.signing import KeySigner
from app.testing.storage import ODD_KEYS, put
from tests.servers import gcs
from tests.servers.gcs import GCSServer
from tests.servers.gcs_identity import MACHINE, MUTE, OWNER

LIFE = timedelta(minutes=5)
FILENAME = "x-1.0-py3-none-any.whl"
KEY = f"blobs/x/01/{FILENAME}"


@pytest.fixture
def server() -> GCSServer:
    """The shared store."""
    return gcs.gcs()


@pytest.fixture
def url(server: GCSServer) -> str:
    """A place of the test's own."""
    return f"gs://{gcs.BUCKET}/{ULID()}"


@pytest.fixture
async def bucket(server: GCSServer, url: str) -> AsyncIterator[Bucket]:
    """The storage, with a key file."""
    async with connect(url, server.options) as bucket:
        yield bucket


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials besides those of the test."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))


async def signed(bucket: Bucket, key: str = KEY, *, life: timedelta = LIFE) -> str:
    """A URL; there must be one."""
    url = await bucket.url(key, filename=key.rpartition("/")[2], expires_in=life)
    assert url is not None
    return url


async def fetched(url: str, **headers: str) -> httpx.Response:
    """What a client gets that knows nothing but the URL."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url, headers=headers)


def signer_of(url: str) -> str:
    """The account that signed it."""
    return parse_qs(urlsplit(url).query)["X-Goog-Credential"][0].partition("/")[0]


@pytest.mark.parametrize("name", [KEY, *ODD_KEYS])
async def test_it_is_the_url_of_the_sdk(server: GCSServer, name: str) -> None:
    """For the same object and moment our URL is that of gcloud-aio, to the last character."""
    file = server.credentials("owner")
    async with sdk.Storage(service_file=file) as storage:
        blob = sdk.Blob(sdk.Bucket(storage, "packages"), name, {"size": 0})
        theirs = await blob.get_signed_url(300)
    async with aiohttp.ClientSession() as session:
        token = await asyncio.to_thread(credentials.load, Path(file), session)
    assert token.key is not None
    moment = parse_qs(urlsplit(theirs).query)["X-Goog-Date"][0]
    begins = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = await signing.signed_url(
        KeySigner(OWNER, token.key),
        "https://storage.googleapis.com",
        "packages",
        name,
        begins,
        LIFE,
    )
    assert ours == theirs


@pytest.mark.parametrize("key", [KEY, *ODD_KEYS])
async def test_it_needs_no_header(bucket: Bucket, key: str) -> None:
    """Whoever has the URL gets the bytes, and ranges of them, and nothing else by it."""
    await put(bucket, key, b"content")
    url = await signed(bucket, key)
    assert urlsplit(url).path.endswith(f"/{urlsplit(url).path.rpartition('/')[2]}")
    assert (await fetched(url)).content == b"content"
    ranged = await fetched(url, Range="bytes=2-3")
    assert (ranged.status_code, ranged.content) == (206, b"nt")
    assert (await fetched(url.replace("X-Goog-Expires=300", "X-Goog-Expires=900"))).is_error
    assert (await fetched(url.partition("?")[0])).is_error
    assert (await fetched(f"{url[:-1]}{'0' if url[-1] != '0' else '1'}")).is_error


async def test_it_expires(bucket: Bucket) -> None:
    """After its life the store refuses it."""
    await put(bucket, KEY, b"content")
    signer = bucket._signer
    assert signer is not None
    origin = bucket._origin
    name = bucket._name(KEY)
    begins = datetime.now(UTC) - LIFE - timedelta(seconds=1)
    url = await signing.signed_url(signer, origin, gcs.BUCKET, name, begins, LIFE)
    assert (await fetched(url)).status_code == 400
    later = begins + timedelta(seconds=30)
    url = await signing.signed_url(signer, origin, gcs.BUCKET, name, later, LIFE)
    assert (await fetched(url)).status_code == 200


async def test_it_is_the_same_for_half_of_its_life(server: GCSServer, url: str) -> None:
    """All processes give the same URL, until half of its life is over."""
    life = timedelta(days=6)
    async with connect(url, server.options) as one, connect(url, server.options) as other:
        assert await signed(one, life=life) == await signed(other, life=life)


async def test_a_life_that_is_too_long(bucket: Bucket) -> None:
    """Google takes seven days at the most."""
    assert "X-Goog-Expires=604800&" in await signed(bucket, life=timedelta(days=30))


async def test_clients_may_reach_it_elsewhere(server: GCSServer, url: str) -> None:
    """The public URL stands in signed ones, and is signed."""
    public = f"http://localhost:{server.host.partition(':')[2]}"
    async with connect(url, server.options | {"public_url": f"{public}/"}) as bucket:
        await put(bucket, KEY, b"content")
        url = await signed(bucket)
    assert url.startswith(f"{public}/packages/")
    assert (await fetched(url)).content == b"content"
    assert (await fetched(url.replace("localhost", "127.0.0.1"))).is_error


async def test_the_key_is_parsed_once(server: GCSServer, bucket: Bucket) -> None:
    """Signing parses no key and reads no file, unlike the SDK's signer, which parses each time."""
    parsed = 0

    def watch(frame: FrameType, event: str, called: Any) -> None:
        nonlocal parsed
        name = frame.f_code.co_name if event == "call" else getattr(called, "__name__", "")
        parsed += event in ("call", "c_call") and name in ("load_pem_private_key", "open")

    async with sdk.Storage(service_file=server.credentials("owner")) as storage:
        blob = sdk.Blob(sdk.Bucket(storage, "packages"), KEY, {"size": 0})
        sys.setprofile(watch)
        try:
            await blob.get_signed_url(300)
            theirs, parsed = parsed, 0
            for n in range(200):
                await signed(bucket, f"a/{n}")
        finally:
            sys.setprofile(None)
    assert theirs
    assert parsed == 0


class TestWithoutKeyFile:
    """IAM signs for who has no private key."""

    async def test_a_machine(
        self, server: GCSServer, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the metadata server gives tokens, IAM signs as its service account."""
        monkeypatch.setenv("GCE_METADATA_HOST", server.host)
        options = {"service_account_file": None}
        async with connect(url, server.options | options) as bucket:
            await put(bucket, KEY, b"content")
            found = await signed(bucket)
        assert signer_of(found) == MACHINE
        assert (await fetched(found)).content == b"content"

    async def test_a_machine_that_signs_as_another(
        self, server: GCSServer, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A setting names the account that signs."""
        monkeypatch.setenv("GCE_METADATA_HOST", server.host)
        options = {"service_account_file": None, "service_account_email": OWNER}
        async with connect(url, server.options | options) as bucket:
            assert signer_of(await signed(bucket)) == OWNER

    async def test_no_longer_than_a_managed_key(self, server: GCSServer, url: str) -> None:
        """What IAM signs is good for twelve hours at the most, what a key file signs for a week."""
        options = {"service_account_email": MACHINE}
        for more, most in ((options, timedelta(hours=12)), ({}, timedelta(days=7))):
            async with connect(url, server.options | more) as bucket:
                await put(bucket, KEY, b"content")
                found = await signed(bucket, life=timedelta(days=30))
            ends = window.ends(found)
            assert ends is not None
            assert most / 2 - timedelta(minutes=1) < ends - datetime.now(UTC) <= most
            assert (await fetched(found)).content == b"content"

    @pytest.mark.parametrize(
        ("file", "email", "signs"),
        [
            ("federated", None, OWNER),
            ("pool", OWNER, OWNER),
            ("person", OWNER, OWNER),
            ("owner", MACHINE, MACHINE),
            ("owner", OWNER, OWNER),
        ],
    )
    async def test_credentials_files(
        self, server: GCSServer, url: str, file: str, email: str | None, signs: str
    ) -> None:
        """Every kind of credentials gets URLs signed: as its own account, or as the one named."""
        options = {"service_account_file": server.credentials(file), "service_account_email": email}
        async with connect(url, server.options | options) as bucket:
            await put(bucket, KEY, b"content")
            found = await signed(bucket)
        assert signer_of(found) == signs
        assert (await fetched(found)).content == b"content"

    @pytest.mark.parametrize(
        ("file", "why"),
        [("person", "no service account's"), ("pool", "no service account's"), ("mute", MUTE)],
    )
    async def test_nobody_signs(
        self,
        server: GCSServer,
        url: str,
        file: str,
        why: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Without anybody who signs there are no URLs, and the start says so, once."""
        options = {"service_account_file": server.credentials(file)}
        async with connect(url, server.options | options) as bucket:
            await put(bucket, KEY, b"content")
            assert await bucket.url(KEY, filename=FILENAME, expires_in=LIFE) is None
        [warning] = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert why in warning
        assert "\n" not in warning

    async def test_the_account_named_may_not_sign(self, server: GCSServer, url: str) -> None:
        """Who was named and cannot sign is an error at the start."""
        with pytest.raises(errors.Misconfigured, match="serviceAccountTokenCreator") as raised:
            async with connect(url, server.options | {"service_account_email": MUTE}):
                pass
        assert "\n" not in str(raised.value)

    async def test_a_right_that_is_lost_later(
        self, server: GCSServer, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Then there are no URLs any more, the service hands out the bytes, and the log says so."""
        async with connect(url, server.options) as bucket:
            bucket._signer = signing.IAMSigner(MUTE, bucket._client, server.endpoint_url)
            for _ in range(3):
                assert await bucket.url(KEY, filename=FILENAME, expires_in=LIFE) is None
        assert caplog.text.count("No URLs can be signed") == 1
