"""Opening Google Cloud Storage: whatever is wrong is one line; tokens are renewed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from ulid import ULID

from app import errors
from app.storage.gcs import connect
from app.testing.storage import content, put
from tests.servers import gcs, running
from tests.servers.faults import between
from tests.servers.gcs import GCSServer
from tests.servers.gcs_front import CARELESS, FORBIDDEN
from tests.servers.gcs_identity import BRIEF_LIFE, TAKEN
from tests.servers.plans import Fault, Rule, nothing

FROM_AWS = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/pool",
    "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
    "token_url": "http://127.0.0.1:9/",
    "credential_source": {"environment_id": "aws1"},
}


@pytest.fixture
def server() -> GCSServer:
    """The shared store."""
    return gcs.gcs()


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials besides those of the test."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))


async def refusal(url: str, options: dict[str, object]) -> str:
    """The one line that a start ends with."""
    with pytest.raises(errors.Misconfigured) as raised:
        async with connect(url, options):
            pass
    line = str(raised.value)
    assert "\n" not in line
    assert "PRIVATE KEY" not in line
    return line


@pytest.mark.parametrize(
    ("bucket", "says"),
    [
        ("missing", "There is no bucket 'missing'"),
        (FORBIDDEN, "may not read, write and delete in the bucket 'forbidden'"),
        (CARELESS, "does not keep create-only writes"),
    ],
)
async def test_a_bucket_that_cannot_be_used(server: GCSServer, bucket: str, says: str) -> None:
    """It is not there, or not for us, or of a store that would overwrite files."""
    assert says in await refusal(f"gs://{bucket}/{ULID()}", server.options)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (None, "cannot be read"),
        ("no JSON", "no credentials file"),
        ([], "no credentials file"),
        ({"type": "service"}, "unknown type"),
        ({"type": "service_account", "client_email": "x"}, "private_key missing"),
        ({"private_key": "garbled"}, "private key cannot be read"),
        ({"private_key": "EC"}, "no RSA key"),
        (
            {"client_email": "no@body.example"},
            "credentials gave no token: Google answers 400: invalid_grant",
        ),
        ({"type": "external_account"}, "cannot be used"),
        (FROM_AWS, "aws credential_source is not supported"),
    ],
)
@pytest.mark.parametrize("named", ["option", "environment"])
async def test_a_file_that_cannot_be_used(
    server: GCSServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: object,
    says: str,
    named: str,
) -> None:
    """A credentials file that somebody named is never passed over for other credentials."""
    file = tmp_path / "key.json"
    if isinstance(change, dict) and "type" not in change:
        change = json.loads(Path(server.credentials("owner")).read_text()) | change
    if isinstance(change, dict) and change.get("private_key") == "EC":
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        change["private_key"] = pem.decode()
    if change is not None:
        file.write_text(change if isinstance(change, str) else json.dumps(change))
    options = server.options | {"service_account_file": str(file)}
    if named == "environment":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        options["service_account_file"] = None
    line = await refusal(f"gs://{gcs.BUCKET}/{ULID()}", options)
    assert says in line


async def test_no_credentials(server: GCSServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are none, the line says where they are looked for."""
    [port] = running.free_ports(1)
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{port}")
    line = await refusal(
        f"gs://{gcs.BUCKET}/{ULID()}", server.options | {"service_account_file": None}
    )
    assert "PYPICLOUD_GCS__SERVICE_ACCOUNT_FILE" in line
    assert "GOOGLE_APPLICATION_CREDENTIALS" in line


async def test_a_store_that_cannot_be_reached(server: GCSServer) -> None:
    """It may come back: the error is not one of the settings."""
    [port] = running.free_ports(1)
    options = server.options | {"endpoint_url": f"http://127.0.0.1:{port}"}
    with pytest.raises(errors.StorageUnavailable, match=f"cannot be reached at 127.0.0.1:{port}"):
        async with connect(f"gs://{gcs.BUCKET}", options):
            pass


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("endpoint_url", "storage.example"),
        ("endpoint_url", "https://user:secret@storage.example"),
        ("public_url", "https://storage.example/path"),
        ("iam_endpoint_url", "ftp://iam.example"),
        ("predefined_acl", "everybody"),
        ("attempts", 0),
        ("colour", "blue"),
    ],
)
async def test_an_option_that_cannot_be(server: GCSServer, option: str, value: object) -> None:
    """The line names it, and does not repeat what it holds."""
    line = await refusal(f"gs://{gcs.BUCKET}", server.options | {option: value})
    assert line.startswith(option)
    assert "secret" not in line


async def test_the_environment_names_the_credentials(
    server: GCSServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a setting, application default credentials are used."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", server.credentials("owner"))
    options = server.options | {"service_account_file": None}
    async with connect(f"gs://{gcs.BUCKET}/{ULID()}", options) as bucket:
        assert await bucket.create("a/b", b"content")


async def test_the_credentials_of_gcloud(
    server: GCSServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What gcloud wrote for its user is found as well."""
    (tmp_path / "gcloud").mkdir()
    content = Path(server.credentials("person")).read_text()
    (tmp_path / "gcloud" / "application_default_credentials.json").write_text(content)
    options = server.options | {"service_account_file": None}
    async with connect(f"gs://{gcs.BUCKET}/{ULID()}", options) as bucket:
        assert await bucket.create("a/b", b"content")


class TestTokens:
    """They end, and they are taken back."""

    async def test_they_are_renewed(self, server: GCSServer) -> None:
        """When a token has ended, the next request has another."""
        options = server.options | {"service_account_file": server.credentials("brief")}
        async with connect(f"gs://{gcs.BUCKET}/{ULID()}", options) as bucket:
            await put(bucket, "a/b", b"content")
            first = bucket._client.token.access_token
            await asyncio.sleep(BRIEF_LIFE + 0.5)
            assert await content(bucket, "a/b") == b"content"
            assert bucket._client.token.access_token != first

    @pytest.mark.parametrize("size", [7, 9 * 2**20])
    async def test_one_that_is_taken_back(self, server: GCSServer, size: int) -> None:
        """A token that the store refuses before its time is replaced, whatever it was for."""
        options = server.options | {"service_account_file": server.credentials("taken")}
        async with connect(f"gs://{gcs.BUCKET}/{ULID()}", options) as bucket:
            for _ in range(2):
                server.revoke(TAKEN)
                await put(bucket, "a/b", bytes(size))
                server.revoke(TAKEN)
                assert len(await content(bucket, "a/b")) == size
                server.revoke(TAKEN)
                assert await bucket.head("a/b")
                server.revoke(TAKEN)
                assert [stored.key async for stored in bucket.scan()] == ["a/b"]
                server.revoke(TAKEN)
                await bucket.delete("a/b")

    async def test_a_caller_who_leaves_takes_no_renewal_along(self, server: GCSServer) -> None:
        """One who is cancelled while a token is renewed does not cancel the others."""
        async with connect(f"gs://{gcs.BUCKET}/{ULID()}", server.options) as bucket:
            for steps in range(6):
                bucket._client.token.forget()
                leaving = asyncio.create_task(bucket.head("a/b"))
                staying = asyncio.create_task(bucket.head("a/b"))
                for _ in range(steps):
                    await asyncio.sleep(0)
                leaving.cancel()
                assert await staying is None
                await asyncio.gather(leaving, return_exceptions=True)

    async def test_google_away(
        self, server: GCSServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Without a token the store is unavailable; but while the old one is good, nothing is."""
        key = json.loads(Path(server.credentials("owner")).read_text())
        file = tmp_path / "key.json"
        with between(int(server.host.partition(":")[2])) as proxy:
            file.write_text(json.dumps(key | {"token_uri": f"{proxy.url}/token"}))
            options = server.options | {"service_account_file": str(file)}
            async with connect(f"gs://{gcs.BUCKET}/{ULID()}", options) as bucket:
                rule = proxy.plan = Rule(Fault.RESET)
                bucket._client.token.access_token_preempt_after = 0
                assert await bucket.head("a/b") is None
                while "were not renewed" not in caplog.text:
                    await asyncio.sleep(0.01)
                bucket._client.token.forget()
                with pytest.raises(errors.StorageUnavailable, match="credentials"):
                    await bucket.head("a/b")
                assert rule.hits <= 1 + 3
                proxy.plan = nothing
                assert await bucket.head("a/b") is None
