"""What can go wrong between us and a store, told in one line and without a secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError, ProxyConnectionError

from app import errors

REASON = 200
"""Characters of what the store says that are passed on."""

BROKEN = (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError)
"""What is raised where there was no answer, or none to the end."""

_UNREACHED = {
    "EndpointConnectionError": "cannot be reached",
    "ConnectTimeoutError": "cannot be reached in time",
    "ReadTimeoutError": "did not answer in time",
    "AioReadTimeoutError": "did not answer in time",
    "TimeoutError": "did not answer in time",
    "NoCredentialsError": "cannot be asked: no credentials were found",
    "SSLError": "has a certificate that cannot be verified",
}


class Refused(errors.StorageUnavailable):
    """An answer that is an error. ``code`` is that of S3, or the status where there is no body."""

    def __init__(self, error: ClientError) -> None:
        told = error.response.get("Error", {})
        answer = error.response.get("ResponseMetadata", {})
        self.code = str(told.get("Code", ""))
        self.status = int(answer.get("HTTPStatusCode", 0))
        self.headers: dict[str, str] = answer.get("HTTPHeaders", {})
        self.region: str | None = told.get("Region") or self.headers.get("x-amz-bucket-region")
        reason = " ".join(str(told.get("Message", "")).split())[:REASON]
        super().__init__(f"The storage answers {self.status} {self.code}: {reason}".rstrip(": "))

    @property
    def absent(self) -> bool:
        """Whether it says that the key is not there, though its bucket is."""
        return self.code == "NoSuchKey"


@contextmanager
def translated(*others: type[Exception]) -> Iterator[None]:
    """Raise errors.StorageUnavailable (Refused for an answer) for what the SDK raises, save others.

    Its own errors are left behind, for they show URLs and headers.
    """
    try:
        yield
    except others:
        raise
    except ClientError as error:
        raise Refused(error) from None
    except BROKEN as error:
        raise errors.StorageUnavailable(f"The storage {broken(error)}") from None


def broken(error: BaseException) -> str:
    """What became of a request that had no answer, as the end of a sentence."""
    name = type(error).__name__
    if isinstance(error, ProxyConnectionError):
        return "cannot be reached through the proxy"
    return _UNREACHED.get(name, f"broke off ({name})")
