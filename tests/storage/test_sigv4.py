"""Presigned URLs of S3: those of the SDK, and good for what they say only."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from app.storage import keys
from app.storage.sigv4 import LONGEST, Credentials, Presigner
from app.testing.storage import ODD_KEYS
from tests.servers import s3

LASTING = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TEMPORARY = Credentials("ASIA/odd+key", "s3cr3t/with=signs+", "FwoGZXIvYXdz//token+with=signs&?%")

ENDPOINTS = (
    ("eu-central-1", None, "virtual", "https://packages.s3.eu-central-1.amazonaws.com"),
    ("us-gov-west-1", None, "path", "https://s3.us-gov-west-1.amazonaws.com/packages"),
    ("cn-north-1", None, "virtual", "https://packages.s3.cn-north-1.amazonaws.com.cn"),
    ("us-east-1", "http://s3.example:80", "path", "http://s3.example:80/packages"),
    ("us-east-1", "https://s3.example:443/", "path", "https://s3.example:443/packages/"),
    ("r", "https://s3.example:80", "virtual", "https://packages.s3.example:80"),
    ("us-east-1", "http://10.0.0.1:8333", "path", "http://10.0.0.1:8333/packages"),
    ("us-east-1", "http://[2001:DB8::1]:9000", "path", "http://[2001:DB8::1]:9000/packages"),
    ("us-east-1", "https://[::1]", "path", "https://[::1]/packages"),
    ("us-east-1", "https://S3.Example/below/it", "path", "https://S3.Example/below/it/packages"),
    ("us-east-1", "https://s3.example/b~x", "path", "https://s3.example/b~x/packages"),
)
"""Region, endpoint and addressing style for the SDK, and the endpoint of a Presigner."""

SEGMENTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=30)
KEYS = (
    st.lists(SEGMENTS, min_size=1, max_size=6)
    .map("/".join)
    .filter(lambda key: key[0] != "." and all(map(keys.is_segment, key.split("/"))))
)


@cache
def client(region: str, endpoint: str | None, style: str, credentials: Credentials) -> Any:
    """A client of the SDK; it is for signing only, and opens no connection."""
    return boto3.client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
        config=Config(signature_version="s3v4", s3={"addressing_style": style}),
    )


def theirs(signing: Any, key: str, *, seconds: int) -> tuple[str, datetime]:
    """The SDK's URL, and when it says that it was signed."""
    parameters = {"Bucket": "packages", "Key": key}
    url = signing.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)
    signed = re.search(r"X-Amz-Date=(\w+)", url)
    assert signed is not None
    return url, datetime.strptime(signed[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


@pytest.mark.parametrize("credentials", [LASTING, TEMPORARY], ids=["lasting", "temporary"])
@pytest.mark.parametrize(
    ("region", "endpoint", "style", "ours"), ENDPOINTS, ids=[case[3] for case in ENDPOINTS]
)
def test_urls_are_those_of_the_sdk(
    region: str, endpoint: str | None, style: str, ours: str, credentials: Credentials
) -> None:
    """For odd keys, endpoints, regions and credentials, the URL is the SDK's to the byte."""
    presigner = Presigner(endpoint=ours, region=region)
    signing = client(region, endpoint, style, credentials)
    for key in ODD_KEYS:
        url, at = theirs(signing, key, seconds=300)
        life = timedelta(seconds=300)
        assert presigner.url(key, credentials, signed_at=at, expires_in=life) == url


@given(KEYS, st.integers(1, 7 * 24 * 3600), st.sampled_from([LASTING, TEMPORARY]))
def test_any_key_is_signed_as_by_the_sdk(key: str, seconds: int, credentials: Credentials) -> None:
    """Every key of the grammar and every life give the SDK's URL."""
    region, endpoint, style, ours = ENDPOINTS[0]
    url, at = theirs(client(region, endpoint, style, credentials), key, seconds=seconds)
    presigner = Presigner(endpoint=ours, region=region)
    life = timedelta(seconds=seconds)
    assert presigner.url(key, credentials, signed_at=at, expires_in=life) == url


def test_the_published_example() -> None:
    """The example of the documentation of Signature Version 4 has the signature printed there."""
    presigner = Presigner(endpoint="https://examplebucket.s3.amazonaws.com", region="us-east-1")
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    url = presigner.url(
        "test.txt",
        credentials,
        signed_at=datetime(2013, 5, 24, tzinfo=UTC),
        expires_in=timedelta(days=1),
    )
    signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    assert url.endswith(f"&X-Amz-Signature={signature}")


def test_days_and_credentials_do_not_mix() -> None:
    """The key that is kept for a day never signs for another day or somebody else."""
    endpoint = "https://packages.example"
    kept = Presigner(endpoint=endpoint, region="r")
    at = datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC)
    life = timedelta(minutes=5)
    refreshed = TEMPORARY._replace(secret_key="another", token="another")
    for days in (0, 1, 0, 1):
        for credentials in (LASTING, TEMPORARY, refreshed, LASTING):
            signed_at = at + timedelta(seconds=days)
            fresh = Presigner(endpoint=endpoint, region="r")
            assert kept.url("a", credentials, signed_at=signed_at, expires_in=life) == fresh.url(
                "a", credentials, signed_at=signed_at, expires_in=life
            )


@pytest.mark.parametrize(
    "life", [timedelta(), timedelta(seconds=0.9), LONGEST + timedelta(seconds=1)]
)
def test_lives_that_no_store_takes(life: timedelta) -> None:
    """A URL lives for a second at least and for a week at most."""
    presigner = Presigner(endpoint="https://packages.example", region="r")
    with pytest.raises(ValueError, match="no presigned URL lives"):
        presigner.url("a", LASTING, signed_at=datetime.now(UTC), expires_in=life)


@pytest.mark.parametrize("endpoint", ["packages.example", "ftp://x", "https://", "https://x/?a=b"])
def test_what_is_no_endpoint(endpoint: str) -> None:
    """An endpoint has a scheme and a host, and no query."""
    with pytest.raises(ValueError, match="not an endpoint"):
        Presigner(endpoint=endpoint, region="r")


def test_credentials_show_no_secret() -> None:
    """Neither the secret nor the token stands in what a traceback or a log would show."""
    assert repr(TEMPORARY) == str(TEMPORARY) == "Credentials('ASIA/odd+key')"


# Against a store


@contextmanager
def objects(server: s3.S3Server) -> Iterator[Any]:
    """A client of the SDK for a server."""
    options = server.options
    with closing(
        boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name=options["region"],
            aws_access_key_id=server.access_key_id,
            aws_secret_access_key=server.secret_access_key,
            verify=server.ca_file,
            config=Config(s3={"addressing_style": "path"}),
        )
    ) as found:
        yield found


def presigned(
    server: s3.S3Server, key: str, *, signed: datetime | None = None, life: int = 300
) -> str:
    """Our URL for a key on a server."""
    presigner = Presigner(endpoint=f"{server.endpoint_url}/{s3.BUCKET}", region=s3.REGION)
    credentials = Credentials(server.access_key_id, server.secret_access_key)
    return presigner.url(
        key, credentials, signed_at=signed or datetime.now(UTC), expires_in=timedelta(seconds=life)
    )


@pytest.mark.parametrize("server", [s3.seaweed, s3.ministack], ids=["seaweed", "ministack"])
def test_a_url_gives_the_bytes(server: Any) -> None:
    """A store gives the bytes of every odd key, and ranges of them, for the URL alone."""
    found = server()
    prefix = str(ULID())
    with objects(found) as storage, httpx.Client() as anybody:
        for odd in ODD_KEYS:
            key = f"{prefix}/{odd}"
            storage.put_object(Bucket=s3.BUCKET, Key=key, Body=odd.encode())
            url = presigned(found, key)
            whole = anybody.get(url)
            assert (whole.status_code, whole.content) == (200, odd.encode())
            part = anybody.get(url, headers={"Range": "bytes=0-0"})
            assert (part.status_code, part.content) == (206, odd[:1].encode())


def test_a_url_over_tls() -> None:
    """The same over TLS, where the server's port is not the scheme's own."""
    found = s3.seaweed(tls=True)
    key = f"{ULID()}/x-1.0-py3-none-any.whl"
    trusted = ssl.create_default_context(cafile=found.ca_file)
    with objects(found) as storage, httpx.Client(verify=trusted) as anybody:
        storage.put_object(Bucket=s3.BUCKET, Key=key, Body=b"content")
        assert anybody.get(presigned(found, key)).content == b"content"


def test_a_url_with_the_bucket_in_its_host() -> None:
    """The same where the bucket is a host name, which clients send as their Host."""
    found = s3.seaweed()
    key = f"{ULID()}/a b+c"
    served = urlsplit(found.endpoint_url)
    host = f"{s3.BUCKET}.s3.test.local:{served.port}"
    presigner = Presigner(endpoint=f"http://{host}", region=s3.REGION)
    credentials = Credentials(found.access_key_id, found.secret_access_key)
    url = presigner.url(
        key, credentials, signed_at=datetime.now(UTC), expires_in=timedelta(minutes=5)
    )
    with objects(found) as storage, httpx.Client() as anybody:
        storage.put_object(Bucket=s3.BUCKET, Key=key, Body=b"content")
        # No name server knows the host.
        answer = anybody.get(url.replace(host, served.netloc), headers={"Host": host})
        assert (answer.status_code, answer.content) == (200, b"content")
        assert anybody.get(url.replace(host, served.netloc)).status_code == 403


def test_a_url_is_good_for_what_it_says_only() -> None:
    """Expired, tampered with, or for another key or method, a URL is refused."""
    found = s3.seaweed()
    key, other = f"{ULID()}/a+b", f"{ULID()}/other"
    with objects(found) as storage, httpx.Client() as anybody:
        for each in (key, other):
            storage.put_object(Bucket=s3.BUCKET, Key=each, Body=b"content")
        url = presigned(found, key)
        assert anybody.get(url).status_code == 200
        expired = presigned(found, key, signed=datetime.now(UTC) - timedelta(minutes=6))
        foreign = s3.S3Server(found.name, found.endpoint_url, found.access_key_id, "another")
        path = urlsplit(presigned(found, other)).path
        refused = [
            expired,
            presigned(foreign, key),
            url.replace("X-Amz-Expires=300", "X-Amz-Expires=3000"),
            url.replace(urlsplit(url).path, path),
            url[:-1] + ("0" if url[-1] != "0" else "1"),
        ]
        assert [anybody.get(wrong).status_code for wrong in refused] == [403] * len(refused)
        assert anybody.get(url.partition("&X-Amz-Signature")[0]).status_code == 400
        assert anybody.delete(url).status_code == 403
        assert anybody.put(url, content=b"other").status_code == 403
        assert anybody.get(url).content == b"content"
