"""URLs of CloudFront: signed as the SDK signs, verified as CloudFront verifies."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from botocore.signers import CloudFrontSigner
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from ulid import ULID

from app import errors
from app.storage import window
from app.storage.base import Storage
from app.storage.cloudfront import connect, distribution
from app.storage.cloudfront_policy import PrivateKey, Signer, load
from app.storage.options.cloudfront import CloudFrontOptions
from app.testing.storage import ODD_KEYS, content, put
from tests.servers import cloudfront, s3

RSA = rsa.generate_private_key(65537, 2048)
ECDSA = ec.generate_private_key(ec.SECP256R1())
KEYS: tuple[PrivateKey, ...] = (RSA, ECDSA)
KEY_ID = "K2JCJMDEHXQW5F"
DOMAIN = "https://d111111abcdef8.cloudfront.net"
RESOURCE = f"{DOMAIN}/p/blobs/x/1%2B2/x-1.0-py3-none-any.whl"
POLICIES: tuple[Literal["canned", "custom"], ...] = ("canned", "custom")
HASHES: tuple[Literal["SHA1", "SHA256"], ...] = ("SHA1", "SHA256")


def pem(
    key: Any,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> str:
    """A private key as a file holds it."""
    raw: bytes = key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())
    return raw.decode()


# Signatures


@pytest.mark.parametrize("seconds", [0, 0.9])
def test_canned_urls_are_those_of_the_sdk(seconds: float) -> None:
    """RSA signatures do not vary, so the whole URL is the SDK's."""
    ends = datetime(2026, 11, 24, 12, tzinfo=UTC) + timedelta(seconds=seconds)
    theirs = CloudFrontSigner(KEY_ID, lambda message: _rsa_sha1(message))
    url = Signer(KEY_ID, RSA).url(RESOURCE, ends=ends)
    assert url == theirs.generate_presigned_url(RESOURCE, date_less_than=ends)


def test_custom_urls_are_those_of_the_sdk() -> None:
    """The same for a policy that stands in the URL."""
    ends = datetime(2026, 11, 24, 12, tzinfo=UTC)
    theirs = CloudFrontSigner(KEY_ID, lambda message: _rsa_sha1(message))
    policy = theirs.build_policy(RESOURCE, ends)
    url = Signer(KEY_ID, RSA, policy="custom").url(RESOURCE, ends=ends)
    assert url == theirs.generate_presigned_url(RESOURCE, policy=policy)


def _rsa_sha1(message: bytes) -> bytes:
    return RSA.sign(message, padding.PKCS1v15(), hashes.SHA1())


@pytest.mark.parametrize("key", KEYS, ids=["RSA", "ECDSA"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("hash_algorithm", HASHES)
def test_the_public_key_verifies_what_is_signed(
    key: PrivateKey,
    policy: Literal["canned", "custom"],
    hash_algorithm: Literal["SHA1", "SHA256"],
) -> None:
    """Each kind of key, policy and hash gives a URL that its public key vouches for."""
    ends = datetime.now(UTC) + timedelta(minutes=5)
    signer = Signer(KEY_ID, key, policy=policy, hash_algorithm=hash_algorithm)
    resource, _, query = signer.url(RESOURCE, ends=ends).partition("?")
    assert resource == RESOURCE
    given = {name: value for name, [value] in parse_qs(query).items()}
    names = ["Expires" if policy == "canned" else "Policy", "Signature", "Key-Pair-Id"]
    assert list(given) == names + ["Hash-Algorithm"] * (hash_algorithm == "SHA256")
    cloudfront.verify(RESOURCE, given, {KEY_ID: key.public_key()})
    with pytest.raises((InvalidSignature, ValueError)):
        cloudfront.verify(f"{RESOURCE}.metadata", given, {KEY_ID: key.public_key()})


def test_a_custom_policy_says_the_url_and_its_end() -> None:
    """The policy names the one URL, no pattern, and the second in which it ends."""
    ends = datetime(2026, 11, 24, 12, tzinfo=UTC)
    url = Signer(KEY_ID, RSA, policy="custom").url(RESOURCE, ends=ends)
    [policy] = parse_qs(urlsplit(url).query)["Policy"]
    assert json.loads(cloudfront.decoded(policy)) == {
        "Statement": [
            {
                "Resource": RESOURCE,
                "Condition": {"DateLessThan": {"AWS:EpochTime": int(ends.timestamp())}},
            }
        ]
    }


# Keys


@pytest.mark.parametrize(
    ("key", "form"),
    [
        (RSA, PrivateFormat.PKCS8),
        (RSA, PrivateFormat.TraditionalOpenSSL),
        (ECDSA, PrivateFormat.PKCS8),
        (ECDSA, PrivateFormat.TraditionalOpenSSL),
    ],
)
def test_private_keys_in_their_forms(key: PrivateKey, form: PrivateFormat) -> None:
    """PKCS #8 and the traditional forms are read."""
    assert load(pem(key, form).encode()).private_numbers() == key.private_numbers()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("", "no private key in PEM"),
        ("secret, but no key", "no private key in PEM"),
        (pem(RSA)[:200], "no private key in PEM"),
        (pem(RSA, encryption=BestAvailableEncryption(b"secret")), "encrypted"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "RSA and ECDSA P-256 keys only"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "RSA and ECDSA P-256 keys only"),
    ],
)
def test_private_keys_that_cannot_be(wrong: str, says: str) -> None:
    """What CloudFront would refuse, or nobody can read, is said without showing it."""
    options = {"url": DOMAIN, "key_id": KEY_ID, "private_key": wrong}
    with pytest.raises(
        errors.Misconfigured, match=rf"^The private key of [^\n]*{says}[^\n]*$"
    ) as e:
        distribution(CloudFrontOptions.of(options))
    assert "secret, but" not in str(e.value)


# Options


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs the option url"),
        ({"url": "d111111abcdef8.cloudfront.net"}, "needs a plain URL"),
        ({"url": "s3://x"}, "needs a plain URL"),
        ({"url": "https://"}, "needs a plain URL"),
        ({"url": "https://[x"}, "needs a plain URL"),
        ({"url": "https://x:port"}, "needs a plain URL"),
        ({"url": f"{DOMAIN}/?a=b"}, "needs a plain URL"),
        ({"url": f"{DOMAIN}/*"}, "needs a plain URL"),
        ({"url": f"{DOMAIN}/a b"}, "needs a plain URL"),
        ({"url": "https://user:secret@x"}, "needs a plain URL"),
        ({"url": DOMAIN, "key_id": KEY_ID}, "has the option key_id, so it needs private_key"),
        ({"url": DOMAIN, "private_key": "x"}, "has the option private_key, so it needs key_id"),
        ({"url": DOMAIN, "private_key": "x", "private_key_file": "y"}, "not both"),
        (
            {"url": DOMAIN, "key_id": KEY_ID, "private_key_file": "/nowhere/key.pem"},
            "cannot be read: .*/nowhere/key.pem",
        ),
        ({"url": DOMAIN, "key_id": "K2&x"}, "key_id: "),
        ({"url": DOMAIN, "policy": "any"}, "policy: "),
        ({"url": DOMAIN, "domain": "x"}, "domain: "),
    ],
)
async def test_options_that_cannot_be(options: dict[str, Any], says: str) -> None:
    """The start stops with one line that says what to do, and repeats no secret."""
    with pytest.raises(errors.Misconfigured, match=rf"^[^\n]*{says}[^\n]*$") as refused:
        async with connect("cloudfront://packages", {**options, "s3": s3.seaweed().options}):
            pass
    assert "secret@" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        (f"{DOMAIN}/", DOMAIN),
        ("HTTPS://CDN.Example:443", "https://cdn.example"),
        ("http://cdn.example:80/", "http://cdn.example"),
        ("http://cdn.example:443", "http://cdn.example:443"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://cdn.example/python/Packages/", "https://cdn.example/python/Packages"),
    ],
)
async def test_the_url_is_the_one_that_clients_send(url: str, sent: str) -> None:
    """CloudFront compares what clients send: a host in lower case, without the default port."""
    locate = distribution(CloudFrontOptions(url=url))
    assert await locate("a/b.whl", datetime.now(UTC), timedelta(minutes=5)) == f"{sent}/a/b.whl"


@pytest.mark.parametrize("kept", ["lines", "one line", "file"])
async def test_a_private_key_where_it_is_kept(kept: str, tmp_path: Path) -> None:
    """A variable holds it in lines or in one line, and a file as it is."""
    options: dict[str, Any] = {"url": DOMAIN, "key_id": KEY_ID}
    if kept == "file":
        options["private_key_file"] = tmp_path / "key.pem"
        options["private_key_file"].write_text(pem(RSA))
    else:
        options["private_key"] = pem(RSA).replace("\n", "\n" if kept == "lines" else "\\n")
    now, life = datetime.now(UTC), timedelta(minutes=5)
    locate = await asyncio.to_thread(distribution, CloudFrontOptions.of(options))
    url = await locate("a", now, life)
    ends = window.opened(now, life) + life
    assert url == Signer(KEY_ID, RSA).url(f"{DOMAIN}/a", ends=ends)


# Before a bucket


@asynccontextmanager
async def storage(prefix: str, url: str, **options: Any) -> AsyncIterator[Storage]:
    """A storage whose bytes come from a distribution."""
    given = {"url": url, **options, "s3": s3.seaweed().options}
    async with connect(f"cloudfront://{s3.BUCKET}/{prefix}", given) as found:
        yield found


async def signed(found: Storage, key: str) -> str:
    """The URL of a key, for five minutes."""
    filename = key.rpartition("/")[2]
    url = await found.url(key, filename=filename, expires_in=timedelta(minutes=5))
    assert url is not None
    return url


@pytest.mark.parametrize("key", KEYS, ids=["RSA", "ECDSA"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("hash_algorithm", HASHES)
async def test_a_distribution_gives_the_bytes(
    key: PrivateKey, policy: str, hash_algorithm: str
) -> None:
    """What was put into the bucket comes from the distribution, whole and in ranges."""
    with cloudfront.distribution(s3.seaweed(), {KEY_ID: key.public_key()}) as url:
        options = {"key_id": KEY_ID, "private_key": pem(key), "policy": policy}
        options["hash_algorithm"] = hash_algorithm
        async with storage(str(ULID()), url, **options) as found, httpx.AsyncClient() as anybody:
            for odd in ODD_KEYS:
                await put(found, odd, odd.encode())
                assert await content(found, odd) == odd.encode()
                location = await signed(found, odd)
                whole = await anybody.get(location)
                assert (whole.status_code, whole.content) == (200, odd.encode())
                part = await anybody.get(location, headers={"Range": "bytes=0-0"})
                assert (part.status_code, part.content) == (206, odd[:1].encode())


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_url_is_good_for_what_it_says_only(policy: str) -> None:
    """Expired, tampered with, of another file or another key, a URL is refused."""
    with cloudfront.distribution(s3.seaweed(), {KEY_ID: RSA.public_key()}) as url:
        options = {"key_id": KEY_ID, "private_key": pem(RSA), "policy": policy}
        prefix = str(ULID())
        stranger = pem(rsa.generate_private_key(65537, 2048))
        async with (
            storage(prefix, url, **options) as found,
            storage(prefix, url, **{**options, "private_key": stranger}) as foreign,
            storage(prefix, url) as unsigned,
            httpx.AsyncClient() as anybody,
        ):
            for name in ("a", "b"):
                await put(found, name, b"content")
            good = await signed(found, "a")
            assert (await anybody.get(good)).content == b"content"
            locate = await asyncio.to_thread(
                distribution, CloudFrontOptions.of({"url": url, **options})
            )
            life, now = timedelta(minutes=5), datetime.now(UTC)
            assert await locate(f"{prefix}/a", now, life) in (good, await signed(found, "a"))
            signature = good.partition("Signature=")[2].partition("&")[0]
            refused = [
                await signed(foreign, "a"),
                await signed(unsigned, "a"),
                good.replace(f"/{prefix}/a?", f"/{prefix}/b?"),
                good.replace(signature, signature.translate({65: "B", 66: "A"})),
                good.replace(KEY_ID, "KANOTHER"),
                _later(good),
                await locate(f"{prefix}/a", now - life, life),
            ]
            statuses = [(await anybody.get(wrong)).status_code for wrong in refused]
            assert statuses == [403] * len(refused)


def _later(url: str) -> str:
    """The same URL with an end that was not signed."""
    parts = urlsplit(url)
    given = {name: value for name, [value] in parse_qs(parts.query).items()}
    if "Expires" in given:
        return url.replace(given["Expires"], str(int(given["Expires"]) + 3600))
    policy = json.loads(cloudfront.decoded(given["Policy"]))
    policy["Statement"][0]["Condition"]["DateLessThan"]["AWS:EpochTime"] += 3600
    forged = base64.b64encode(json.dumps(policy).encode(), b"-~").decode().replace("=", "_")
    return url.replace(given["Policy"], forged)


async def test_a_distribution_for_everybody() -> None:
    """Without a key, URLs are bare, and so for ever the same."""
    with cloudfront.distribution(s3.seaweed(), {}) as url:
        prefix = str(ULID())
        async with storage(prefix, url) as found, httpx.AsyncClient() as anybody:
            await put(found, "a+b.whl", b"content")
            location = await signed(found, "a+b.whl")
            assert location == f"{url}/{prefix}/a%2Bb.whl"
            assert (await anybody.get(location)).content == b"content"


async def test_a_url_is_the_same_for_half_of_its_life() -> None:
    """Two processes give the same URL while the window is open, and then another."""
    options = {"url": DOMAIN, "key_id": KEY_ID, "private_key": pem(RSA)}
    one, other = (distribution(CloudFrontOptions.of(options)) for _ in range(2))
    life = timedelta(minutes=5)
    now = window.opened(datetime.now(UTC), life)
    url = await one("a", now, life)
    assert await other("a", now + timedelta(seconds=149), life) == url
    assert await other("a", now + timedelta(seconds=150), life) != url
