"""What presigned URLs cost: our signers beside those of the SDKs, in one run.

python -m benchmarks.signing
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import boto3
from azure.storage.blob import generate_blob_sas
from botocore.config import Config
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from gcloud.aio.auth import Token
from gcloud.aio.storage import Blob, Bucket, Storage

from app.storage.azure.account import Account
from app.storage.azure.signing import KeySigner
from app.storage.cloudfront_policy import Signer
from app.storage.gcs import signing as gcs_signing
from app.storage.sigv4 import Credentials, Presigner
from benchmarks.report import Figure, parser, show

KEY = "blobs/demo/01JDG1TTR9QZ5TPFZ3N4K6X8YB/demo-1.0-py3-none-any.whl"
EMAIL = "packages@demo.iam.gserviceaccount.com"
AZURE_KEY = "QUFB" * 21 + "QUE="
LIFE = timedelta(minutes=5)
SECONDS = 0.5
"""How long each signer is measured."""

Sign = Callable[[], object]


class Case(NamedTuple):
    """One kind of URL, signed by us and by the SDK; both sign KEY for LIFE from now on."""

    name: str
    ours: Sign
    sdk: Sign
    goal: str = ""


def s3() -> Iterator[Case]:
    """Signature Version 4 in the query, with temporary credentials."""
    credentials = Credentials("A" * 20, "S" * 40, "T" * 800)
    presigner = Presigner(
        endpoint="https://packages.s3.eu-central-1.amazonaws.com", region="eu-central-1"
    )
    with closing(
        boto3.client(
            "s3",
            region_name="eu-central-1",
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token,
            config=Config(signature_version="s3v4"),
        )
    ) as client:
        yield Case(
            "S3",
            lambda: presigner.url(KEY, credentials, signed_at=datetime.now(UTC), expires_in=LIFE),
            lambda: client.generate_presigned_url(
                "get_object",
                Params={"Bucket": "packages", "Key": KEY},
                ExpiresIn=int(LIFE.total_seconds()),
            ),
            "a tenth",
        )


def cloudfront() -> Iterator[Case]:
    """Canned policies; the SDK's documented signer reads the private key each time."""
    resource = f"https://d111111abcdef8.cloudfront.net/{KEY}"
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def loading(message: bytes) -> bytes:
        loaded = load_pem_private_key(pem, password=None)
        assert isinstance(loaded, rsa.RSAPrivateKey)
        return loaded.sign(message, padding.PKCS1v15(), hashes.SHA1())

    sdk = CloudFrontSigner("K2JCJMDEHXQW5F", loading)
    rsa_signer = Signer("K2JCJMDEHXQW5F", key)
    ec_signer = Signer("K2JCJMDEHXQW5F", ec.generate_private_key(ec.SECP256R1()))

    def theirs() -> object:
        return sdk.generate_presigned_url(resource, date_less_than=datetime.now(UTC) + LIFE)

    for name, signer in (("RSA", rsa_signer), ("ECDSA", ec_signer)):
        yield Case(
            f"CloudFront, {name}",
            lambda signer=signer: signer.url(resource, ends=datetime.now(UTC) + LIFE),  # type: ignore[misc]  # mypy does not infer defaults
            theirs,
        )


def gcs() -> Iterator[Case]:
    """V4 signed URLs with a key file, which the SDK parses each time."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {"type": "service_account", "client_email": EMAIL, "private_key": pem}
    token = Token(service_file=io.StringIO(json.dumps(account)), scopes=["none"])
    blob = Blob(Bucket(Storage(token=token), "packages"), KEY, {"size": 0})
    signer = gcs_signing.KeySigner(EMAIL, key)
    origin = "https://storage.googleapis.com"
    yield Case(
        "GCS",
        lambda: finished(
            gcs_signing.signed_url(signer, origin, "packages", KEY, datetime.now(UTC), LIFE)
        ),
        lambda: finished(blob.get_signed_url(int(LIFE.total_seconds()))),
        "a tenth",
    )


def azure() -> Iterator[Case]:
    """SAS tokens by the account's key; ours is the SDK's signer."""
    account = Account("packages", "https://packages.blob.core.windows.net", key=AZURE_KEY)
    signer = KeySigner(account, "packages")
    yield Case(
        "Azure",
        lambda: finished(signer.sas(KEY, datetime.now(UTC) + LIFE)),
        lambda: generate_blob_sas(
            account.name,
            "packages",
            KEY,
            account_key=account.key,
            permission="r",
            expiry=datetime.now(UTC) + LIFE,
        ),
    )


def finished(work: Coroutine[None, None, str]) -> str:
    """The outcome of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as stop:
        url: str = stop.value
        return url
    raise AssertionError("it waits for something")


CASES: tuple[Callable[[], Iterator[Case]], ...] = (s3, cloudfront, gcs, azure)
"""One function for each store; whatever it opens stays open while its cases are measured."""


def microseconds(sign: Sign) -> float:
    """For one call, a warm one."""
    sign()
    calls = 0
    start = time.perf_counter()
    while (took := time.perf_counter() - start) < SECONDS:
        sign()
        calls += 1
    return took / calls * 1e6


async def microseconds_threaded(sign: Sign) -> float:
    """For one call in a thread, seen from the event loop that waits for it."""
    await asyncio.to_thread(sign)
    calls = 0
    start = time.perf_counter()
    while (took := time.perf_counter() - start) < SECONDS:
        await asyncio.to_thread(sign)
        calls += 1
    return took / calls * 1e6


def measure(case: Case) -> list[Figure]:
    """All figures of a case."""
    ours, sdk = microseconds(case.ours), microseconds(case.sdk)
    return [
        Figure(f"{case.name}: ours", ours, "us"),
        Figure(
            f"{case.name}: ours in a thread", asyncio.run(microseconds_threaded(case.ours)), "us"
        ),
        Figure(f"{case.name}: the SDK's", sdk, "us"),
        Figure(f"{case.name}: ours / the SDK's", ours / sdk, "", case.goal),
    ]


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__).parse_args()
    figures = [figure for cases in CASES for case in cases() for figure in measure(case)]
    show("signing of URLs", figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
