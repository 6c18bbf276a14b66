"""``cloudfront://BUCKET/PREFIX``: a bucket of S3 whose bytes clients get from CloudFront."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from app import errors
from app.storage import cloudfront_policy, s3, window
from app.storage.cloudfront_policy import Signer
from app.storage.options.cloudfront import CloudFrontOptions
from app.storage.options.s3 import S3Options
from app.storage.probe import is_for_reading

_PORTS = {"http": 80, "https": 443}


class Distribution:
    """URLs of a distribution at ``url``; not signed without a ``signer``."""

    def __init__(self, url: str, signer: Signer | None) -> None:
        self._url = _as_sent(url)
        self._signer = signer

    async def __call__(self, key: str, now: datetime, expires_in: timedelta) -> str:
        """Where the bucket's ``key`` is to be had, equal for half of ``expires_in``."""
        resource = f"{self._url}/{quote(key, safe='/~')}"
        if self._signer is None:
            return resource
        # In the loop: an RSA signature costs as much as handing it to a thread does.
        return self._signer.url(resource, ends=window.opened(now, expires_in) + expires_in)


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[s3.S3Storage]:
    """Open the bucket; ``options`` are those of CloudFrontOptions, and as "s3" the bucket's."""
    rest, only_read = is_for_reading(options)
    own = {name: value for name, value in rest.items() if name != "s3"}
    sign = await asyncio.to_thread(distribution, CloudFrontOptions.of(own))
    bucket = S3Options.of(rest.get("s3", {}))
    async with s3.opened(url, bucket, sign=sign, only_read=only_read) as storage:
        yield storage


def distribution(options: CloudFrontOptions) -> Distribution:
    """The distribution that the options name, its key loaded; reads a file.

    Raises errors.Misconfigured.
    """
    if options.url is None:
        raise errors.Misconfigured(
            "cloudfront:// needs the option url, such as https://d111111abcdef8.cloudfront.net"
        )
    pem = _pem(options)
    if (options.key_id is None) != (pem is None):
        there, missing = ("private_key", "key_id") if pem else ("key_id", "private_key")
        raise errors.Misconfigured(
            f"cloudfront:// has the option {there}, so it needs {missing} as well; "
            "with neither, URLs are not signed"
        )
    if options.key_id is None or pem is None:
        return Distribution(options.url, None)
    try:
        key = cloudfront_policy.load(pem)
        signer = Signer(
            options.key_id, key, policy=options.policy, hash_algorithm=options.hash_algorithm
        )
    except ValueError as wrong:
        raise errors.Misconfigured(f"The private key of cloudfront://: {wrong}") from None
    return Distribution(options.url, signer)


def _pem(options: CloudFrontOptions) -> bytes | None:
    if options.private_key is not None and options.private_key_file is not None:
        raise errors.Misconfigured(
            "cloudfront:// takes one of private_key and private_key_file, not both"
        )
    if options.private_key is not None:
        # Where a variable cannot have several lines, they are written as one.
        return options.private_key.get_secret_value().replace("\\n", "\n").encode()
    if options.private_key_file is None:
        return None
    try:
        return options.private_key_file.read_bytes()
    except OSError as error:
        raise errors.Misconfigured(
            f"The private key of cloudfront:// cannot be read: {error}"
        ) from error


def _as_sent(url: str) -> str:
    """The URL as clients will send it, for that is what CloudFront compares."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = url.isascii() and not set(url) & set(" \"'\\<>?#@*")
    if parts.scheme not in _PORTS or not parts.hostname or not plain:
        raise errors.Misconfigured(
            "cloudfront:// needs a plain URL as its option url, such as "
            "https://d111111abcdef8.cloudfront.net"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    authority = host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"
    return f"{parts.scheme}://{authority}{parts.path.rstrip('/')}"
