"""What can go wrong between us and Azure, told in one line and without a secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from azure.core.exceptions import AzureError, HttpResponseError

from app import errors

WHO = "Azure Blob Storage"
REASON = 300
"""Characters of what the other side says that are passed on."""

_ABSENT = ("BlobNotFound", "ResourceNotFound")


class Failed(errors.StorageUnavailable):
    """A request that was refused with a status and Azure's code, or that nobody answered: then 0.

    ``certain`` says that asking again cannot help.
    """

    def __init__(
        self, message: str, *, status: int = 0, code: str = "", certain: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self._certain = certain

    @property
    def transient(self) -> bool:
        """Whether asking again may help."""
        if self._certain or self.status in (501, 505):
            return False
        return self.status in (0, 408, 429) or self.status >= 500 or self.code == "Md5Mismatch"

    @property
    def archived(self) -> bool:
        """Whether the blob is in the archive tier, from which somebody must fetch it."""
        return self.code == "BlobArchived"

    @property
    def absent(self) -> bool:
        """Whether it says that the blob is not there, though its container is."""
        return self.status == 404 and self.code in _ABSENT


@contextmanager
def translated() -> Iterator[None]:
    """Raise Failed for what the SDK and aiohttp raise.

    Their own errors are left behind: they show URLs, which may be signed, and what was signed.
    """
    try:
        yield
    except HttpResponseError as error:
        raise _refused(error) from None
    except AzureError as error:
        raise _broken(error.inner_exception or error) from None
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise _broken(error) from None


def _refused(error: HttpResponseError) -> Failed:
    code = getattr(error, "error_code", None) or ""
    return answered(
        error.status_code or 0, str(getattr(code, "value", code)), error.message.split("\n")[0]
    )


def answered(status: int, code: str, reason: str) -> Failed:
    """What an answer says that is none of those expected."""
    said = one_line(reason)
    return Failed(f"{WHO} answers {status} {code}: {said}", status=status, code=code)


def _broken(error: BaseException) -> Failed:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return Failed(
            f"The certificate of {WHO} at {error.host} cannot be verified"
            " (PYPICLOUD_AZURE__CA_FILE names other authorities)",
            certain=True,
        )
    if isinstance(error, TimeoutError):
        return Failed(f"{WHO} did not answer in time")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Failed(f"{WHO} cannot be reached at {error.host}:{error.port}")
    return Failed(f"The connection to {WHO} broke ({type(error).__name__})")


def one_line(text: str) -> str:
    """Text as part of a message."""
    return " ".join(text.split())[:REASON]
