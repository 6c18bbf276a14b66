"""Every option of ``s3://`` does what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ulid import ULID

from app import errors
from app.storage import s3
from app.storage.options.s3 import S3Options
from app.storage.s3 import sdk
from app.storage.sigv4 import Credentials
from app.testing.storage import content, put
from tests.servers import s3 as servers
from tests.servers.faults import between
from tests.servers.plans import Fault, Rule
from tests.servers.s3_small import Asked, SmallStore, Told, refusal, small_store

URL = "s3://packages/index"
LARGE = bytes(6 * 2**20)
"""More than one part."""


@pytest.fixture
def store() -> Iterator[SmallStore]:
    """A store that writes down what it is asked."""
    with small_store() as store:
        yield store


async def writes(store: SmallStore, **options: Any) -> tuple[Asked, Asked, Asked]:
    """How a create, a small put and the beginning of a large put ask."""
    async with s3.connect(URL, {**store.options, **options}) as storage:
        assert await storage.create("journal/a", b"event")
        await put(storage, "blobs/a", b"small")
        await put(storage, "blobs/b", LARGE)
    create, small, large, *_ = store.writes()
    assert "uploads" in large.query
    return create, small, large


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ({"acl": "bucket-owner-full-control"}, {"x-amz-acl": "bucket-owner-full-control"}),
        ({"encryption": "AES256"}, {"x-amz-server-side-encryption": "AES256"}),
        (
            {"encryption": "aws:kms", "kms_key_id": "alias/packages"},
            {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": "alias/packages",
            },
        ),
    ],
)
async def test_how_everything_is_kept(
    store: SmallStore, options: dict[str, Any], headers: dict[str, str]
) -> None:
    """ACL and encryption go with everything that is written."""
    for asked in await writes(store, **options):
        assert headers.items() <= asked.headers.items()


async def test_the_storage_class_is_for_distributions(store: SmallStore) -> None:
    """The journal stays in the bucket's own class: it is small, and read all the time."""
    create, small, large = await writes(store, storage_class="STANDARD_IA")
    assert "x-amz-storage-class" not in create.headers
    assert small.headers["x-amz-storage-class"] == "STANDARD_IA"
    assert large.headers["x-amz-storage-class"] == "STANDARD_IA"


@pytest.mark.parametrize(
    ("checksums", "header"),
    [("sha256", "x-amz-checksum-sha256"), ("md5", "content-md5"), ("none", None)],
)
async def test_what_the_store_verifies(
    store: SmallStore, checksums: str, header: str | None
) -> None:
    """The chosen checksum goes with every body, and no other; none goes behind a body."""
    await writes(store, checksums=checksums)
    bodies = [asked for asked in store.writes() if asked.body and asked.method == "PUT"]
    assert len(bodies) == 4
    for asked in bodies:
        sent = {
            n for n in asked.headers if "checksum" in n or n in ("content-md5", "x-amz-trailer")
        }
        assert sent == ({header} if header else set())


@pytest.mark.parametrize("checksums", ["md5", "none"])
async def test_deletes_without_checksums(store: SmallStore, checksums: str) -> None:
    """Where a store does not know checksums, many keys are removed one by one."""
    async with s3.connect(URL, {**store.options, "checksums": checksums}) as storage:
        for key in ("a", "b", "c"):
            await storage.create(key, b"")
        await storage.delete_many(["a", "b"])
        assert [stored.key async for stored in storage.scan()] == ["c"]
    assert not any("delete" in asked.query for asked in store.asked)


@pytest.mark.parametrize(
    ("options", "begin"),
    [
        ({}, "https://packages.s3.eu-west-1.amazonaws.com/index/a"),
        ({"addressing_style": "path"}, "https://s3.eu-west-1.amazonaws.com/packages/index/a"),
        ({"addressing_style": "virtual"}, "https://packages.s3.eu-west-1.amazonaws.com/index/a"),
        ({"accelerate": True}, "https://packages.s3-accelerate.amazonaws.com/index/a"),
        ({"public_url": "https://s3.example"}, "https://s3.example/packages/index/a"),
        (
            {"public_url": "https://s3.example", "addressing_style": "virtual"},
            "https://packages.s3.example/index/a",
        ),
        (
            {"endpoint_url": "http://minio:9000", "public_url": "https://s3.example/store"},
            "https://s3.example/store/packages/index/a",
        ),
        ({"endpoint_url": "http://minio:9000"}, "http://minio:9000/packages/index/a"),
    ],
)
async def test_where_urls_lead(options: dict[str, Any], begin: str) -> None:
    """Region, endpoint, addressing style, accelerate and public URL make the URL's beginning."""
    keys = {"access_key_id": "key", "secret_access_key": "secret", "region": "eu-west-1"}
    made = await asyncio.to_thread(
        sdk.made_in_thread, "packages", S3Options.of({**keys, **options})
    )
    credentials = Credentials("key", "secret")
    now = datetime.now(UTC)
    url = made.presigner.url("index/a", credentials, signed_at=now, expires_in=timedelta(minutes=1))
    assert url.partition("?")[0] == begin
    assert "/eu-west-1/s3/" in parse_qs(urlsplit(url).query)["X-Amz-Credential"][0]
    await made.client.close()


async def test_a_default_chain_of_variables(
    store: SmallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without keys in the settings those of the environment count."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with s3.connect(URL, without_keys(store)):
        pass
    assert signers(store) == {"from-the-environment"}


async def test_a_profile(
    store: SmallStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A profile of the SDK's files gives keys, and the region where none is set."""
    (tmp_path / "config").write_text("[profile index]\nregion = eu-north-1\n")
    keys = "aws_access_key_id = of-the-profile\naws_secret_access_key = secret\n"
    (tmp_path / "credentials").write_text(f"[index]\n{keys}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    async with s3.connect(URL, {"endpoint_url": store.url, "profile": "index"}):
        pass
    assert signers(store) == {"of-the-profile"}
    assert "/eu-north-1/s3/" in store.asked[0].headers["authorization"]


async def test_static_temporary_keys(store: SmallStore) -> None:
    """A session token goes with requests and URLs."""
    async with s3.connect(URL, {**store.options, "session_token": "of the session"}) as storage:
        url = await storage.url("a", filename="a", expires_in=timedelta(minutes=5))
    assert store.asked[0].headers["x-amz-security-token"] == "of the session"
    assert url is not None
    assert parse_qs(urlsplit(url).query)["X-Amz-Security-Token"] == ["of the session"]


@pytest.fixture
def web_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The variables by which a cluster gives a pod its identity; the file of its token."""
    token = tmp_path / "token"
    token.write_text("token of the pod")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/index")
    return token


async def test_web_identity(web_identity: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The identity of a pod becomes credentials, and these sign."""
    server = servers.ministack()
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.endpoint_url)
    options = {"endpoint_url": server.endpoint_url, "region": "us-east-1"}
    async with s3.connect(f"s3://packages/{ULID()}", options) as storage:
        await put(storage, "a", b"content")
        assert await content(storage, "a") == b"content"
        url = await storage.url("a", filename="a", expires_in=timedelta(minutes=5))
    assert url is not None
    assert "X-Amz-Security-Token=" in url


async def test_credentials_that_end_are_renewed(
    store: SmallStore, web_identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When they are about to end, others are asked for, with the token of that time."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", store.url)
    store.lives = timedelta(minutes=9)  # the SDK renews what ends within ten
    async with s3.connect(URL, without_keys(store)) as storage:
        web_identity.write_text("newer token of the pod")
        before = store.tokens
        await put(storage, "a", b"content")
        assert store.tokens > before
        store.lives = timedelta(hours=1)
        await storage.url("a", filename="a", expires_in=timedelta(minutes=5))
        renewed = store.tokens
        await put(storage, "a", b"content")
        assert store.tokens == renewed
    asked = [a.body for a in store.asked if b"AssumeRoleWithWebIdentity" in a.body]
    assert b"newer+token" in asked[-1]


async def test_urls_end_with_the_credentials(
    store: SmallStore, web_identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL does not promise to live longer than what it is signed with."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", store.url)
    store.lives = timedelta(hours=1)
    async with s3.connect(URL, without_keys(store)) as storage:
        ends = datetime.now(UTC) + store.lives
        short = await storage.url("a", filename="a", expires_in=timedelta(minutes=5))
        long = await storage.url("a", filename="a", expires_in=timedelta(hours=12))
    assert short is not None
    assert long is not None
    assert life(short)[1] == timedelta(minutes=5)
    begin, lives = life(long)
    assert abs(begin + lives - ends) < timedelta(seconds=5)


async def test_an_identity_that_is_refused(
    store: SmallStore, web_identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What STS says against it is told at the start."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", store.url)
    store.instead = lambda asked: Told(
        403, b"<E><Error><Code>AccessDenied</Code><Message>not you</Message></Error></E>"
    )
    with pytest.raises(errors.Misconfigured, match=r"No credentials for S3.* not you"):
        async with s3.connect(URL, without_keys(store)):
            pass


async def test_a_role_that_is_assumed(store: SmallStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The static keys ask for the role, with the external id; the role's keys do the rest."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", store.url)
    role = {"role_arn": "arn:aws:iam::123456789012:role/index", "external_id": "of the account"}
    async with s3.connect(URL, {**store.options, **role}) as storage:
        await storage.create("a", b"")
    assumed, *others = store.asked
    assert b"RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Findex" in assumed.body
    assert b"ExternalId=of+the+account" in assumed.body
    assert "Credential=key/" in assumed.headers["authorization"]
    store.asked[:] = others
    assert signers(store) == {"temporary-1"}


async def test_without_verification_of_certificates() -> None:
    """The option does what its name says."""
    options = {**servers.seaweed(tls=True).options, "ca_file": None, "verify_tls": False}
    async with s3.connect(f"s3://packages/{ULID()}", options) as storage:
        assert await storage.create("a", b"content")


async def test_attempts(store: SmallStore) -> None:
    """A request is tried as often as the option says, and not again."""
    async with s3.connect(URL, {**store.options, "attempts": 2}) as storage:
        store.asked.clear()
        store.instead = lambda asked: refusal(503, "SlowDown")
        with pytest.raises(errors.StorageUnavailable, match="503 SlowDown"):
            await storage.delete("a")
    assert len(store.asked) == 2


async def test_a_store_that_wants_a_pause_gets_it(store: SmallStore) -> None:
    """A 429 is tried again, whatever code it comes with, as often as the option says."""
    answers = [refusal(429, "TooManyRequests"), refusal(429, "Throttling"), refusal(429, "")]
    async with s3.connect(URL, {**store.options, "attempts": 4}) as storage:
        store.asked.clear()
        store.instead = lambda asked: answers.pop() if answers else None
        await storage.delete("a")
        assert len(store.asked) == 4
        store.asked.clear()
        store.instead = lambda asked: refusal(429, "TooManyRequests")
        with pytest.raises(errors.StorageUnavailable, match="429 TooManyRequests"):
            await storage.delete("a")
    assert len(store.asked) == 4


async def test_xml_of_ours_that_changed_on_its_way_is_sent_again() -> None:
    """A store that finds it malformed got something else than was sent."""
    server = servers.seaweed()
    with between(urlsplit(server.endpoint_url).port or 0) as proxy:
        options = {**server.options, "endpoint_url": proxy.url}
        async with s3.connect(f"s3://packages/{ULID()}", options) as storage:
            await put(storage, "a", b"content")
            await put(storage, "b", b"content")
            proxy.plan = rule = Rule(Fault.SPOILED, times=1)
            await storage.delete_many(["a", "b"])
            assert rule.hits == 1
            assert [stored.key async for stored in storage.scan("")] == []


async def test_trap_retries_that_take_ages() -> None:
    """A store that swallows everything, and one that is gone, are given up soon."""
    server = servers.seaweed()
    with between(urlsplit(server.endpoint_url).port or 0) as proxy:
        bounds = {"attempts": 2, "connect_timeout": 0.5, "read_timeout": 0.5}
        options = {**server.options, **bounds, "endpoint_url": proxy.url}
        async with s3.connect(f"s3://packages/{ULID()}", options) as storage:
            begun = monotonic()
            proxy.plan = Rule(Fault.SILENT)
            with pytest.raises(errors.StorageUnavailable, match="did not answer in time"):
                await put(storage, "a", b"content")
            with (
                proxy.refusing(),
                pytest.raises(errors.StorageUnavailable, match="cannot be reached"),
            ):
                await put(storage, "a", b"content")
            assert monotonic() - begun < 20


async def test_connections(store: SmallStore) -> None:
    """No more connections are used than the option says."""
    async with s3.connect(URL, {**store.options, "connections": 2}) as storage:
        store.busiest = 0
        await asyncio.gather(*(storage.create(f"a/{n}", b"") for n in range(20)))
    assert store.busiest <= 2


def without_keys(store: SmallStore) -> dict[str, object]:
    """The options of the store, but for the keys."""
    return {"endpoint_url": store.url, "region": "us-east-1"}


def signers(store: SmallStore) -> set[str]:
    """The access keys that requests were signed with."""
    signed = (asked.headers["authorization"] for asked in store.asked)
    return {each.partition("Credential=")[2].partition("/")[0] for each in signed}


def life(url: str) -> tuple[datetime, timedelta]:
    """When a URL begins to count, and how long it lives."""
    query = parse_qs(urlsplit(url).query)
    begin = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
    return begin, timedelta(seconds=int(query["X-Amz-Expires"][0]))
