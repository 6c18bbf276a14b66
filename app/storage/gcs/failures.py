"""What can go wrong between us and Google, told in one line and without a secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import aiohttp

from app import errors

REASON = 300
"""Characters of what the other side says that are passed on."""

_BUCKET_GONE = "bucket does not exist"


class Failed(errors.StorageUnavailable):
    """A request that was refused, or that nobody answered: then ``status`` is 0."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def transient(self) -> bool:
        """Whether asking again may help."""
        return self.status in (0, 401, 408, 429) or self.status >= 500

    @property
    def absent(self) -> bool:
        """Whether it says that the object is not there, though its bucket is."""
        return self.status == 404 and _BUCKET_GONE not in str(self)


@contextmanager
def translated(who: str) -> Iterator[None]:
    """Raise Failed for what aiohttp raises; ``who`` was asked.

    Its own errors are left behind: they show URLs, and those of uploads are secrets.
    """
    try:
        yield
    except aiohttp.ClientResponseError as answer:
        refused(who, answer.status, answer.message)
    except TimeoutError:
        raise Failed(f"{who} did not answer in time") from None
    except aiohttp.ClientConnectorError as error:
        raise Failed(f"{who} cannot be reached at {error.host}:{error.port}") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise Failed(f"{who} answers with no JSON") from None
    except (aiohttp.ClientError, OSError) as error:
        raise Failed(f"The connection to {who} broke ({type(error).__name__})") from None


def refused(who: str, status: int, message: str) -> NoReturn:
    """Raise Failed for an answer, with what Google says in it."""
    raise Failed(f"{who} answers {status}: {_reason(message)}", status=status) from None


def _reason(message: str) -> str:
    # gcloud-aio puts the reason phrase before the body.
    phrase, _, body = message.partition(": ")
    try:
        error = json.loads(body)
        said = error["error"]["message"] if isinstance(error["error"], dict) else error["error"]
    except (ValueError, LookupError, TypeError):
        said = body or phrase
    return " ".join(str(said).split())[:REASON]
