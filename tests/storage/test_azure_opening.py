"""Azure Blob Storage: what is wrong at the start is said in one line; who we are, in many ways."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ulid import ULID

from app import errors
from app.storage.azure import connect
from app.storage.azure.account import account_of
from app.storage.options.azure import AzureOptions
from app.testing.storage import content, listed, put
from tests.servers import azurite
from tests.servers.azurite import ACCOUNT, CONTAINER, KEY, AzuriteServer, sas
from tests.servers.faults import between
from tests.servers.plans import Answer, Rule
from tests.servers.running import free_ports

URL = f"azure://{CONTAINER}"
OTHER_KEY = base64.b64encode(b"another key" * 5).decode()
QUICK = {"connect_timeout": "1 s", "read_timeout": "1 s", "attempts": 2}


@pytest.fixture
def server() -> AzuriteServer:
    """The shared store."""
    return azurite.azurite()


async def refused(url: str, options: Mapping[str, Any]) -> str:
    """The one line that says why it does not start; it holds no secret."""
    with pytest.raises(errors.Misconfigured) as raised:
        async with connect(url, options):
            pass
    line = str(raised.value)
    assert "\n" not in line
    for secret in ("account_key", "connection_string", "sas_token"):
        assert str(options.get(secret, "no such")) not in line
    assert KEY not in line
    assert "sig=" not in line or "sas_token" in line
    return line


class TestRefused:
    """What cannot work."""

    async def test_no_container(self, server: AzuriteServer) -> None:
        """A container that is not there is named, with Azure's code."""
        line = await refused("azure://nothing-here/prefix", server.options)
        assert "no container 'nothing-here' in devstoreaccount1" in line
        assert "404 ContainerNotFound" in line

    async def test_wrong_key(self, server: AzuriteServer) -> None:
        """A key of somebody else is not believed, and what was signed is not shown."""
        line = await refused(URL, server.options | {"account_key": OTHER_KEY})
        assert "does not believe who we are" in line
        assert "403" in line

    @pytest.mark.parametrize("permission", ["r", "rl", "w"])
    async def test_too_few_permissions(self, server: AzuriteServer, permission: str) -> None:
        """Whoever may not read, write, list and delete is told so."""
        line = await refused(URL, {**server.place, "sas_token": sas(permission)})
        assert "may not read, write, list and delete in the container 'packages'" in line
        assert "Storage Blob Data Contributor" in line

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            ({}, "Name the storage account by PYPICLOUD_AZURE__ACCOUNT"),
            ({"account": "Not_One"}, "account: the name of a storage account"),
            ({"account_url": "https://files.example"}, "Name the storage account"),
            ({"account_url": "ftp://a.example"}, "account_url: write it like https://"),
            ({"account_url": "https://a.example?sig=x"}, "a SAS token has its own setting"),
            ({"account": "abc", "account_key": "no base64!"}, "account_key: an account key is"),
            ({"account": "abc", "sas_token": "sv=1"}, "sas_token: a SAS token is a query"),
            ({"connection_string": "nonsense"}, "connection_string: a connection string has"),
            ({"connection_string": "AccountName=abc"}, "AccountKey= or SharedAccessSignature="),
            ({"connection_string": f"AccountKey={KEY}"}, "AccountName= or BlobEndpoint="),
            (
                {"connection_string": "AccountName=abc;AccountKey=(!)"},
                "the AccountKey of the connection string is not Base64",
            ),
            ({"account": "abc", "account_key": KEY, "sas_token": "sig=1"}, "give one of"),
            ({"account": "abc", "account_url": "http://abc.example"}, "go over https:// only"),
            ({"unknown": 1}, "unknown: "),
            (
                {"account": "abc", "account_key": KEY, "ca_file": "/no/such/file.pem"},
                "PYPICLOUD_AZURE__CA_FILE: /no/such/file.pem cannot be read",
            ),
        ],
    )
    async def test_bad_options(self, options: dict[str, Any], line: str) -> None:
        """Options that cannot be are refused without asking anybody."""
        assert line in await refused(URL, options)

    async def test_no_bucket_in_the_url(self, server: AzuriteServer) -> None:
        """A URL without a container says how to write one."""
        assert "azure://BUCKET/PREFIX" in await refused("azure:", server.options)

    async def test_no_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nothing says who we are, it is told what could."""
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
        line = await refused(URL, azurite.azurite_tls().place)
        assert "No credentials for Azure" in line
        assert "PYPICLOUD_AZURE__ACCOUNT_KEY" in line

    async def test_no_create_only_writes(self, server: AzuriteServer) -> None:
        """A store that lets every racer win is not used."""
        with between(server.port) as proxy:
            proxy.plan = Rule(Answer(201, "Created"), method="PUT", target="/probes/")
            options = server.options | {"account_url": f"{proxy.url}/{ACCOUNT}"}
            assert "does not keep create-only writes (4 of 4" in await refused(URL, options)


class TestUnreachable:
    """What may pass is no misconfiguration, and known soon: the SDK's own retries took minutes."""

    async def test_nobody_listens(self, server: AzuriteServer) -> None:
        """A closed port is told with host and port."""
        port = free_ports(1)[0]
        options = server.options | QUICK | {"account_url": f"http://127.0.0.1:{port}/{ACCOUNT}"}
        begun = time.monotonic()
        with pytest.raises(errors.StorageUnavailable, match=f"reached at 127.0.0.1:{port}"):
            async with connect(URL, options):
                pass
        assert time.monotonic() - begun < 30

    async def test_a_certificate_that_nobody_knows(self) -> None:
        """It is not believed, and not asked again."""
        options = {**azurite.azurite_tls().options, "ca_file": None}
        begun = time.monotonic()
        assert "PYPICLOUD_AZURE__CA_FILE names other" in await refused(URL, options)
        assert time.monotonic() - begun < 30

    async def test_it_answers_500(self, server: AzuriteServer) -> None:
        """It is asked as often as wanted, and then given up."""
        with between(server.port) as proxy:
            proxy.plan = Rule(Answer(500, "Internal Server Error"))
            options = server.options | {"account_url": f"{proxy.url}/{ACCOUNT}", "attempts": 2}
            with pytest.raises(errors.StorageUnavailable, match="answers 500"):
                async with connect(URL, options):
                    pass
            assert len(proxy.seen) == 2


class TestIdentity:
    """The ways to say who we are."""

    @pytest.mark.parametrize(
        ("text", "url"),
        [
            (
                f"DefaultEndpointsProtocol=https;AccountName=abc;AccountKey={KEY};"
                "EndpointSuffix=core.chinacloudapi.cn",
                "https://abc.blob.core.chinacloudapi.cn",
            ),
            (f"AccountName=abc;AccountKey={KEY}", "https://abc.blob.core.windows.net"),
            (f"BlobEndpoint=https://abc.blob.x/;AccountKey={KEY};", "https://abc.blob.x"),
            ("BlobEndpoint=https://abc.blob.x;SharedAccessSignature=?sig=a", "https://abc.blob.x"),
        ],
    )
    def test_connection_strings(self, text: str, url: str) -> None:
        """A connection string names the account, where it is, and a key or a SAS token."""
        account = account_of(AzureOptions.of({"connection_string": text}))
        assert (account.name, account.url) == ("abc", url)
        assert (account.key, account.sas) in ((KEY, None), (None, "sig=a"))
        assert KEY not in repr(account)

    def test_the_account_alone(self) -> None:
        """An account's name is enough, and so is its usual URL."""
        assert account_of(AzureOptions(account="abc")).url == "https://abc.blob.core.windows.net"
        url = "https://abc.blob.core.usgovcloudapi.net"
        assert account_of(AzureOptions(account_url=url)).name == "abc"

    async def test_a_connection_string_opens(self, server: AzuriteServer) -> None:
        """The storage works with nothing but a connection string."""
        text = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={server.url};"
        async with connect(f"{URL}/{ULID()}", {"connection_string": text}) as storage:
            assert await storage.create("a/b", b"content")
            assert await storage.url("a/b", filename="b", expires_in=timedelta(minutes=5))

    async def test_a_sas_token_opens(
        self, server: AzuriteServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With a SAS token all works but the signing of URLs, which is said."""
        options = {**server.place, "sas_token": f"?{sas('rwdlc')}"}
        async with connect(f"{URL}/{ULID()}", options) as storage:
            assert await storage.create("a/b", b"content")
            assert not await storage.create("a/b", b"content")
            await put(storage, "a/large", *[b"x" * 2**20] * 9)
            assert await content(storage, "a/b", start=3) == b"tent"
            assert await storage.url("a/b", filename="b", expires_in=timedelta(minutes=5)) is None
            await storage.delete_many(["a/b", "a/large"])
            assert await listed(storage) == []
        assert "Nobody signs URLs: a SAS token cannot" in caplog.text


class TestFolders:
    """Accounts with a hierarchical namespace."""

    async def test_lists_are_sorted_and_folders_no_keys(self, server: AzuriteServer) -> None:
        """Where the account has folders, lists come in another order, and have them in it."""
        page = listing("a", "a/b", "a-b", "A", folders=("a",))
        xml = ("Content-Type: application/xml",)
        with between(server.port) as proxy:
            options = server.options | {"account_url": f"{proxy.url}/{ACCOUNT}"}
            about = Answer(200, "OK", ("x-ms-is-hns-enabled: true",))
            proxy.plan = Rule(about, target="restype=account")
            async with connect(f"{URL}/hns", options) as storage:
                proxy.plan = Rule(Answer(200, "OK", xml, page), target="comp=list")
                assert await listed(storage) == ["A", "a-b", "a/b"]
                assert await listed(storage) == ["A", "a-b", "a/b"]
                folder = ("x-ms-meta-hdi_isfolder: true", "ETag: 0x1", "x-ms-blob-type: BlockBlob")
                proxy.plan = Rule(Answer(200, "OK", folder), method="GET|HEAD")
                assert await storage.head("a") is None
                with pytest.raises(errors.KeyNotFound):
                    await content(storage, "a")

    async def test_where_nobody_may_ask(self, server: AzuriteServer) -> None:
        """A list out of order is no answer; all that follow are sorted."""
        xml = ("Content-Type: application/xml",)
        page = listing("b", "a")
        with between(server.port) as proxy:
            options = server.options | {"account_url": f"{proxy.url}/{ACCOUNT}"}
            proxy.plan = Rule(Answer(403, "Forbidden"), target="restype=account")
            async with connect(f"{URL}/hns", options) as storage:
                proxy.plan = Rule(Answer(200, "OK", xml, page), target="comp=list")
                with pytest.raises(errors.StorageUnavailable, match="lists out of order"):
                    await listed(storage)
                assert await listed(storage) == ["a", "b"]


def listing(*names: str, folders: tuple[str, ...] = ()) -> bytes:
    """What a store answers that lists these names below ``hns/``."""
    blobs = "".join(
        f"<Blob><Name>hns/{name}</Name><Properties><Content-Length>0</Content-Length>"
        "<Last-Modified>Tue, 24 Nov 2026 00:00:00 GMT</Last-Modified><Etag>0x1</Etag>"
        "<BlobType>BlockBlob</BlobType></Properties>"
        + ("<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata>" if name in folders else "")
        + "</Blob>"
        for name in names
    )
    page = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker /></EnumerationResults>"
    return page.encode()


async def test_the_log_has_no_secrets(
    server: AzuriteServer, caplog: pytest.LogCaptureFixture
) -> None:
    """However much is logged, no signature and no key is."""
    caplog.set_level(logging.INFO)
    async with connect(f"{URL}/{ULID()}", server.options) as storage:
        assert await storage.create("a/b", b"content")
        url = await storage.url("a/b", filename="b", expires_in=timedelta(minutes=5))
        assert await content(storage, "a/b") == b"content"
    assert url is not None
    assert url.rpartition("sig=")[2] not in caplog.text
    assert KEY not in caplog.text


async def test_authorities_of_ones_own(tmp_path: Path) -> None:
    """A store over TLS is reached with the authorities of a file, read once at the start."""
    server = azurite.azurite_tls()
    copy = tmp_path / "ca.pem"
    copy.write_bytes(Path(server.ca_file or "").read_bytes())
    async with connect(f"{URL}/{ULID()}", server.options | {"ca_file": str(copy)}) as storage:
        copy.unlink()
        assert await storage.create("a/b", b"content")
        assert await content(storage, "a/b") == b"content"
