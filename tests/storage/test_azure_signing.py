"""Azure Blob Storage: URLs that whoever has them can read, signed by a key or by Entra ID."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.blob import UserDelegationKey, generate_blob_sas
from ulid import ULID

from app import errors
from app.index.locations import KEPT
from app.storage import window
from app.storage.azure import connect
from app.storage.azure.account import Account
from app.storage.azure.container import Container
from app.storage.azure.failures import Failed
from app.storage.azure.identity import EARLY, SCOPE, Identity
from app.storage.azure.signing import AGAIN, MARGIN, PERIOD, DelegationSigner
from app.testing.storage import ODD_KEYS, content, listed, put
from tests.servers import azurite
from tests.servers.azurite import ACCOUNT, CONTAINER, KEY, IdentityEndpoint, identity_endpoint

LIFE = timedelta(minutes=5)


@pytest.fixture
def prefix() -> str:
    """What all names of the test begin with."""
    return str(ULID())


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityEndpoint]:
    """The platform's, which the environment names."""
    with identity_endpoint() as endpoint:
        for name, value in endpoint.environment.items():
            monkeypatch.setenv(name, value)
        yield endpoint


@pytest.fixture
async def keyed(prefix: str) -> AsyncIterator[Container]:
    """The storage of the account's key."""
    async with connect(f"azure://{CONTAINER}/{prefix}", azurite.azurite().options) as storage:
        yield storage


@pytest.fixture
async def identified(prefix: str, endpoint: IdentityEndpoint) -> AsyncIterator[Container]:
    """The storage of a managed identity, over TLS."""
    async with connect(f"azure://{CONTAINER}/{prefix}", azurite.azurite_tls().place) as storage:
        yield storage


@pytest.fixture(params=["keyed", "identified"])
def storage(request: pytest.FixtureRequest) -> Container:
    """Each of them."""
    found: Container = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without credentials."""
    authorities = azurite.azurite_tls().ca_file
    verify = await asyncio.to_thread(ssl.create_default_context, cafile=authorities)
    async with httpx.AsyncClient(verify=verify, trust_env=False) as client:
        yield client


async def signed(storage: Container, key: str, life: timedelta = LIFE) -> str:
    """The URL of a key."""
    url = await storage.url(key, filename=key.rpartition("/")[2], expires_in=life)
    assert url is not None
    return url


def ends(url: str) -> datetime:
    """When a URL does."""
    return datetime.fromisoformat(parse_qs(urlsplit(url).query)["se"][0])


class TestURL:
    """What it is good for."""

    @pytest.mark.parametrize("key", ["a/b.whl", *ODD_KEYS])
    async def test_anybody_reads(
        self, storage: Container, client: httpx.AsyncClient, key: str
    ) -> None:
        """It serves the bytes without a header, and ranges of them, and ends in the filename."""
        await put(storage, key, b"content")
        url = await signed(storage, key)
        answer = await client.get(url)
        assert (answer.status_code, answer.content) == (200, b"content")
        assert answer.headers["Content-Type"] == "application/octet-stream"
        part = await client.get(url, headers={"Range": "bytes=3-"})
        assert (part.status_code, part.content) == (206, b"tent")
        assert httpx.URL(url).path.endswith(f"/{key}")

    async def test_nobody_writes(self, storage: Container, client: httpx.AsyncClient) -> None:
        """It is good for reading this key, and for nothing else."""
        await put(storage, "a/b", b"content")
        await put(storage, "a/c", b"other")
        url = await signed(storage, "a/b")
        blob = {"x-ms-blob-type": "BlockBlob"}
        assert (await client.put(url, content=b"x", headers=blob)).status_code == 403
        assert (await client.delete(url)).status_code == 403
        assert (await client.get(url.replace("/a/b?", "/a/c?"))).status_code == 403
        assert await content(storage, "a/b") == b"content"

    async def test_nobody_prolongs(self, storage: Container, client: httpx.AsyncClient) -> None:
        """A changed end or signature is refused."""
        await put(storage, "a/b", b"content")
        url = await signed(storage, "a/b")
        end = parse_qs(urlsplit(url).query)["se"][0].replace(":", "%3A")
        assert f"se={end}" in url
        assert (await client.get(url.replace(end, f"2099{end[4:]}"))).status_code == 403
        start = url.index("sig=") + 4
        other = "B" if url[start] == "A" else "A"
        tampered = f"{url[:start]}{other}{url[start + 1 :]}"
        assert (await client.get(tampered)).status_code == 403

    async def test_it_expires(self, storage: Container, client: httpx.AsyncClient) -> None:
        """At its end it is refused."""
        await put(storage, "a/b", b"content")
        url = await signed(storage, "a/b", timedelta(seconds=2))
        remaining = (ends(url) - datetime.now(UTC)).total_seconds()
        assert remaining <= 2
        await asyncio.sleep(max(0.0, remaining) + 1.1)
        assert (await client.get(url)).status_code == 403

    async def test_a_new_one_has_half_of_its_life(self, storage: Container) -> None:
        """All that are asked for in half of a life are the same, with the other half to live."""
        life = timedelta(hours=2)
        before = window.opened(datetime.now(UTC), life)
        urls = [await signed(storage, "a/b", life) for _ in range(3)]
        after = window.opened(datetime.now(UTC), life)
        assert {ends(url) for url in urls} <= {before + life, after + life}
        assert len(set(urls)) == len({ends(url) for url in urls})

    async def test_only_tls_where_there_is_some(self, identified: Container) -> None:
        """A URL of https cannot be used over http."""
        assert "spr=https" in await signed(identified, "a/b")


class TestKeySigner:
    """URLs by the account's key."""

    async def test_as_the_sdk_signs(self, keyed: Container, prefix: str) -> None:
        """The signature is the SDK's, for reading until the end of the window."""
        url = await signed(keyed, "a/b+c d.whl")
        expected = generate_blob_sas(
            ACCOUNT,
            CONTAINER,
            f"{prefix}/a/b+c d.whl",
            account_key=KEY,
            permission="r",
            expiry=ends(url),
        )
        assert urlsplit(url).query == expected

    async def test_every_process_signs_alike(self, keyed: Container, prefix: str) -> None:
        """Another connection gives the same URL."""
        life = timedelta(days=1000)
        options = azurite.azurite().options
        async with connect(f"azure://{CONTAINER}/{prefix}", options) as other:
            assert await signed(other, "a/b", life) == await signed(keyed, "a/b", life)

    async def test_public_url(self, prefix: str, client: httpx.AsyncClient) -> None:
        """Where clients have another way to the account, URLs name that one."""
        server = azurite.azurite()
        public = f"http://localhost:{server.port}/{ACCOUNT}"
        options = server.options | {"public_url": f"{public}/"}
        async with connect(f"azure://{CONTAINER}/{prefix}", options) as storage:
            await put(storage, "a/b", b"content")
            url = await signed(storage, "a/b")
            assert url.startswith(f"{public}/{CONTAINER}/{prefix}/a/b?")
            assert (await client.get(url)).content == b"content"


class TestIdentity:
    """Everything by the tokens of a managed identity."""

    async def test_all_methods(self, identified: Container) -> None:
        """Bytes get in and out, are listed and deleted."""
        assert await identified.create("a/b", b"content")
        assert not await identified.create("a/b", b"other")
        await put(identified, "a/large", *[b"x" * 2**20] * 9)
        assert await content(identified, "a/b", start=3) == b"tent"
        assert len(await content(identified, "a/large")) == 9 * 2**20
        assert await listed(identified) == ["a/b", "a/large"]
        await identified.delete_many(["a/b", "a/large"])
        assert await identified.head("a/b") is None

    async def test_one_token_for_all(
        self, identified: Container, endpoint: IdentityEndpoint
    ) -> None:
        """One token serves all requests while it lives."""
        for n in range(5):
            assert await identified.create(f"a/{n}", b"content")
            assert await content(identified, f"a/{n}") == b"content"
        assert endpoint.given == 1

    async def test_a_token_that_ended_is_not_used(
        self, prefix: str, endpoint: IdentityEndpoint
    ) -> None:
        """Without a token that is good the store cannot be asked."""
        endpoint.life = 3
        url = f"azure://{CONTAINER}/{prefix}"
        async with connect(url, azurite.azurite_tls().place) as storage:
            endpoint.life = None
            await asyncio.sleep(3.1)
            with pytest.raises(errors.StorageUnavailable, match="Entra ID gives no token"):
                await content(storage, "a/b")
            with pytest.raises(errors.StorageUnavailable, match="Entra ID gives no token"):
                await storage.create("a/b", b"content")
            endpoint.life = 3600
            assert await storage.create("a/b", b"content")
            assert await content(storage, "a/b") == b"content"

    async def test_no_token_at_the_start(self, endpoint: IdentityEndpoint) -> None:
        """An identity that gets no token is told so, in one line."""
        endpoint.life = None
        with pytest.raises(errors.Misconfigured, match="No credentials for Azure") as raised:
            async with connect(f"azure://{CONTAINER}", azurite.azurite_tls().place):
                pass
        assert "\n" not in str(raised.value)

    async def test_every_process_signs_alike(self, identified: Container, prefix: str) -> None:
        """Another connection of the same identity gives the same URL."""
        options = azurite.azurite_tls().place
        async with connect(f"azure://{CONTAINER}/{prefix}", options) as other:
            life = timedelta(hours=10)
            assert await signed(other, "a/b", life) == await signed(identified, "a/b", life)

    async def test_no_longer_than_the_key(self, identified: Container) -> None:
        """A URL ends with the key that signed it at the latest."""
        url = await signed(identified, "a/b", timedelta(days=7))
        expires = datetime.fromisoformat(parse_qs(urlsplit(url).query)["ske"][0])
        assert window.ends(url) == ends(url) == expires
        assert PERIOD < expires - datetime.now(UTC) <= 2 * PERIOD + MARGIN


class Tokens:
    """Stands for azure-identity, and gives tokens; none while ``down``."""

    def __init__(self) -> None:
        self.life = 3600
        self.given = 0
        self.down = False

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token; slowly."""
        await asyncio.sleep(0)
        if self.down:
            raise ClientAuthenticationError("no\ntoken")
        self.given += 1
        return AccessToken(f"token {self.given}", int(time.time()) + self.life)

    async def close(self) -> None:
        """Nothing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        """Nothing."""


class TestTokens:
    """When a token is asked for."""

    async def test_once(self) -> None:
        """However many need it, one is asked for."""
        tokens = Tokens()
        identity = Identity(tokens)
        got = await asyncio.gather(*(identity.authorization() for _ in range(8)))
        assert got == [{"Authorization": "Bearer token 1"}] * 8

    async def test_early(self) -> None:
        """Before its end it is replaced, and used on where there is no other."""
        tokens = Tokens()
        tokens.life = int(EARLY) - 1
        identity = Identity(tokens)
        assert (await identity.get_token(SCOPE)).token == "token 1"
        assert (await identity.get_token(SCOPE)).token == "token 2"
        tokens.down = True
        assert (await identity.get_token(SCOPE)).token == "token 2"

    async def test_none(self) -> None:
        """One that ended, or that the store refused, is not used."""
        tokens = Tokens()
        identity = Identity(tokens)
        assert await identity.get_token(SCOPE)
        tokens.down = True
        with pytest.raises(errors.StorageUnavailable, match="gives no token: no token"):
            await identity.get_token(SCOPE, claims="{}")
        tokens.down, tokens.life = False, 0
        assert await identity.get_token(SCOPE, claims="{}")
        tokens.down = True
        with pytest.raises(errors.StorageUnavailable):
            await identity.get_token(SCOPE)


class Keys:
    """Stands for Azure, and gives keys; none while ``down``."""

    def __init__(self) -> None:
        self.asked: list[tuple[datetime, datetime]] = []
        self.down = False

    async def __call__(self, begins: datetime, ends: datetime) -> UserDelegationKey:
        """A key; slowly."""
        self.asked.append((begins, ends))
        await asyncio.sleep(0)
        if self.down:
            raise Failed("down")
        return UserDelegationKey()  # type: ignore[no-untyped-call]  # theirs


class TestDelegationKey:
    """When the key is fetched that signs."""

    NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)

    @pytest.fixture
    def keys(self) -> Keys:
        """Azure's."""
        return Keys()

    @pytest.fixture
    def signer(self, keys: Keys) -> DelegationSigner:
        """Signs with them."""
        return DelegationSigner(Account("abc", "https://abc.example"), CONTAINER, keys)

    async def test_one_for_a_period(self, keys: Keys, signer: DelegationSigner) -> None:
        """One key is fetched in a period, however many ask, and lives through the next one."""
        moments = [self.NOON + PERIOD / 8 * n for n in range(8)]
        got = await asyncio.gather(*map(signer.key, moments))
        assert len({id(key) for key in got}) == 1
        assert keys.asked == [(self.NOON - MARGIN, self.NOON + 2 * PERIOD + MARGIN)]

    async def test_ahead_of_its_end(self, keys: Keys, signer: DelegationSigner) -> None:
        """With the next period comes the next key, a period before the old one ends."""
        first = await signer.key(self.NOON)
        assert await signer.key(self.NOON + PERIOD) is not first
        assert len(keys.asked) == 2

    async def test_the_old_one_serves_while_there_is_no_other(
        self, keys: Keys, signer: DelegationSigner
    ) -> None:
        """A failure is no harm while the old key has life enough; it is not asked all the time."""
        first = await signer.key(self.NOON)
        keys.down = True
        for second in range(50):
            assert await signer.key(self.NOON + PERIOD + timedelta(seconds=second)) is first
        assert len(keys.asked) == 2
        assert await signer.key(self.NOON + PERIOD + timedelta(minutes=2)) is first
        assert len(keys.asked) == 3
        with pytest.raises(errors.StorageUnavailable):
            await signer.key(self.NOON + 2 * PERIOD)
        keys.down = False
        assert await signer.key(self.NOON + 2 * PERIOD) is not first

    async def test_a_key_signs_nothing_that_outlives_it(
        self, keys: Keys, signer: DelegationSigner
    ) -> None:
        """What an old key signs at its very last can still be used for longer than it is kept."""
        first = await signer.key(self.NOON)
        keys.down = True
        last = self.NOON + 2 * PERIOD + MARGIN - PERIOD / 2
        assert await signer.key(last - timedelta(seconds=1)) is first
        with pytest.raises(errors.StorageUnavailable):
            await signer.key(last + AGAIN)
        assert PERIOD / 2 - AGAIN > 2 * KEPT


async def test_signatures_are_not_logged(
    identified: Container, caplog: pytest.LogCaptureFixture
) -> None:
    """However much is logged, no token and no signature is."""
    caplog.set_level(logging.INFO)
    await put(identified, "a/b", b"content")
    url = await signed(identified, "a/b")
    await content(identified, "a/b")
    assert url.rpartition("sig=")[2] not in caplog.text
    assert "Bearer ey" not in caplog.text
