"""What can be wrong with a bucket at the start: each is one line that says what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import errors
from app.storage import s3
from tests.servers import s3 as servers
from tests.servers.running import free_ports
from tests.servers.s3_small import Asked, SmallStore, Told, refusal, small_store

URL = "s3://packages/index"


@pytest.fixture
def store() -> Iterator[SmallStore]:
    """A store that answers as the test wants."""
    with small_store() as store:
        yield store


async def opened(options: dict[str, Any], url: str = URL) -> str:
    """What opening raises, as its line."""
    with pytest.raises((errors.Misconfigured, errors.StorageUnavailable)) as raised:
        async with s3.connect(url, options):
            pass
    line = str(raised.value)
    assert "\n" not in line
    assert "seaweed-secret" not in line
    return line


async def test_a_missing_bucket() -> None:
    """It is named, and where it was looked for."""
    options = servers.seaweed().options
    line = await opened(options, "s3://nowhere/index")
    assert "'nowhere' does not exist at http://127.0.0.1:" in line


async def test_a_wrong_secret() -> None:
    """Keys that the store does not take are told so."""
    options = {**servers.seaweed().options, "secret_access_key": "wrong"}
    assert "credentials are not accepted" in await opened(options)


async def test_an_unknown_key() -> None:
    """So is a key that it does not know."""
    options = {**servers.seaweed().options, "access_key_id": "unknown"}
    assert "credentials are not accepted" in await opened(options)


async def test_a_store_that_nobody_listens_for() -> None:
    """A refused connection is told soon, with the endpoint."""
    [port] = free_ports(1)
    options = {**servers.seaweed().options, "endpoint_url": f"http://127.0.0.1:{port}"}
    line = await opened({**options, "attempts": 2})
    assert f"'packages' at http://127.0.0.1:{port}: The storage cannot be reached" in line


async def test_a_store_that_does_not_answer() -> None:
    """A silent one is told after its time-outs."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        options = {**servers.seaweed().options, "endpoint_url": url, "attempts": 1}
        assert "did not answer in time" in await opened({**options, "read_timeout": 0.3})


async def test_a_certificate_that_nobody_vouches_for() -> None:
    """Without the CA file the connection is refused, not tried without verification."""
    options = {**servers.seaweed(tls=True).options, "ca_file": None, "attempts": 1}
    assert "certificate" in await opened(options)


async def test_a_ca_file_that_is_not_there(tmp_path: Path) -> None:
    """The setting is named."""
    options = {**servers.seaweed(tls=True).options, "ca_file": str(tmp_path / "ca.pem")}
    assert "PYPICLOUD_S3__CA_FILE" in await opened(options)


async def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the SDK finds none anywhere, the settings are named."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    options = {"endpoint_url": servers.seaweed().endpoint_url, "region": "us-east-1"}
    assert "PYPICLOUD_S3__ACCESS_KEY_ID" in await opened(options)


async def test_a_profile_that_is_not_there() -> None:
    """It is named."""
    assert "nobody" in await opened({"profile": "nobody"})


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (refusal(403, "AccessDenied"), "s3:ListBucket"),
        (refusal(404, "NoSuchBucket"), "does not exist at http://"),
        (refusal(403, "RequestTimeTooSkewed"), "clock"),
        (refusal(403, "ExpiredToken"), "not accepted"),
        (refusal(501, "NotImplemented"), "PYPICLOUD_S3__CREATE_ONLY=false"),
        (refusal(503, "SlowDown"), "503 SlowDown"),
        (
            refusal(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
            "'packages' is in the region eu-west-1: set PYPICLOUD_S3__REGION=eu-west-1",
        ),
        (
            refusal(400, "IllegalLocationConstraintException", x_amz_bucket_region="eu-west-1"),
            "PYPICLOUD_S3__REGION=eu-west-1",
        ),
    ],
)
async def test_a_store_that_refuses(store: SmallStore, told: Told, words: str) -> None:
    """What S3 answers is told with what to do about it."""
    store.instead = lambda asked: told
    assert words in await opened({**store.options, "attempts": 1})


async def test_a_bucket_that_may_only_be_read(store: SmallStore) -> None:
    """The permissions that are needed are named."""

    def only_reads(asked: Asked) -> Told | None:
        return None if asked.method == "GET" else refusal(403, "AccessDenied")

    store.instead = only_reads
    assert "s3:PutObject" in await opened(store.options)


async def test_a_bucket_of_another_region_that_the_sdk_finds(
    store: SmallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK would follow, request by request, but presigned URLs could not."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.url)

    def elsewhere(asked: Asked) -> Told | None:
        return store.ordinary(asked)._replace(headers={"x-amz-bucket-region": "eu-west-1"})

    store.instead = elsewhere
    options = {name: value for name, value in store.options.items() if name != "endpoint_url"}
    assert "PYPICLOUD_S3__REGION=eu-west-1" in await opened(options)


async def test_a_store_that_writes_over_what_is_there(store: SmallStore) -> None:
    """One without create-only writes is refused, and the way without them is named."""

    def careless(asked: Asked) -> Told | None:
        return Told(200, headers={"ETag": '"e"'}) if asked.is_create else None

    store.instead = careless
    line = await opened(store.options)
    assert "does not keep create-only writes" in line
    assert "PYPICLOUD_S3__CREATE_ONLY=false" in line


async def test_a_store_without_create_only_writes(store: SmallStore) -> None:
    """With the option one process does without: it looks before it writes."""
    store.instead = lambda asked: refusal(501, "NotImplemented") if asked.is_create else None
    async with s3.connect(URL, {**store.options, "create_only": False}) as storage:
        assert await storage.create("a", b"1")
        assert not await storage.create("a", b"2")


@pytest.mark.parametrize(
    "options",
    [
        {"access_key_id": "key"},
        {"session_token": "token"},
        {"external_id": "x"},
        {"kms_key_id": "key"},
        {"kms_key_id": "key", "encryption": "AES256"},
        {"storage_class": "GLACIER"},
        {"accelerate": True, "endpoint_url": "http://127.0.0.1:1"},
        {"profile": "a", "access_key_id": "key", "secret_access_key": "s"},
        {"endpoint_url": "no URL", "access_key_id": "key", "secret_access_key": "s"},
    ],
)
async def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    """What does not belong together is refused before the store is asked."""
    await opened(options)
