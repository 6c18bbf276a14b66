"""What can go wrong between us and a store, told in one line and without a secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError

from app import aws, errors


class Refused(errors.StorageUnavailable):
    """An answer that is an error. ``code`` is that of S3, or the status where there is no body."""

    def __init__(self, error: ClientError) -> None:
        told = error.response.get("Error", {})
        answer = error.response.get("ResponseMetadata", {})
        self.code = code(error)
        self.status = status(error)
        self.headers: dict[str, str] = answer.get("HTTPHeaders", {})
        self.region: str | None = told.get("Region") or self.headers.get("x-amz-bucket-region")
        said = f"{self.status} {self.code}: {aws.said(error)}".rstrip(": ")
        super().__init__(f"The storage answers {said}")

    @property
    def archived(self) -> bool:
        """Whether the key's bytes are in an archive, from which somebody must fetch them."""
        return self.code == "InvalidObjectState"

    @property
    def absent(self) -> bool:
        """Whether it says that the key is not there, though its bucket is."""
        return self.code == "NoSuchKey"


def status(error: ClientError) -> int:
    """Of an answer that is an error; 0 where there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code(error: ClientError) -> str:
    """S3's word for what is wrong."""
    return str(error.response.get("Error", {}).get("Code", ""))


def attempts(error: ClientError) -> int:
    """How often the SDK tried until it got this answer."""
    return 1 + int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))


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
    except aws.BROKEN as error:
        raise errors.StorageUnavailable(f"The storage {aws.broken(error)}") from None
