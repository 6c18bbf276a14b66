"""Everything that can go wrong, as one tree; it knows nothing of HTTP.

::

    PypicloudError
    ├── NotFound (LookupError)         what was asked for does not exist
    │   ├── ProjectNotFound
    │   ├── ReleaseNotFound
    │   ├── FileNotFound
    │   ├── KeyNotFound                a key that the storage does not hold
    │   └── UserNotFound
    ├── Invalid (ValueError)           the request itself is wrong
    │   ├── InvalidName
    │   ├── InvalidUpload
    │   │   └── ActionGone             an upload action of former times
    │   └── InvalidPassword
    ├── Refused                        well formed, but not allowed
    │   ├── FileExists                 the filename holds other bytes
    │   ├── FilenameUsed               the filename was deleted; it stays taken
    │   ├── UserExists
    │   ├── Unauthenticated            nobody has proved who they are
    │   ├── Forbidden                  somebody known, without the right
    │   ├── ProjectClosed              archived or quarantined: no uploads
    │   └── Quarantined                nothing of the project is handed out
    ├── TooLarge                       more bytes than the limit allows
    ├── Unavailable                    try again later; nothing is known to be wrong
    │   ├── StorageUnavailable
    │   ├── CacheUnavailable
    │   ├── AccessUnavailable
    │   ├── IndexNotReady              the cache was never completely built
    │   └── Busy                       a bounded pool is full
    ├── Corrupt                        the truth contradicts itself
    │   ├── JournalBroken
    │   └── BlobDamaged
    └── Misconfigured                  a setting or a backend that cannot work

The doors map branches to status codes; nothing below them does.
"""

from __future__ import annotations


class PypicloudError(Exception):
    """The root. ``str(error)`` is one line that a person can act on."""


class NotFound(PypicloudError, LookupError):
    """What was asked for does not exist."""


class ProjectNotFound(NotFound):
    """No project of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no project {name!r} here.")


class ReleaseNotFound(NotFound):
    """The project has no such version."""

    def __init__(self, name: str, version: str) -> None:
        super().__init__(f"Project {name!r} has no release {version!r}.")


class FileNotFound(NotFound):
    """The project has no such file."""

    def __init__(self, name: str, filename: str) -> None:
        super().__init__(f"Project {name!r} has no file {filename!r}.")


class KeyNotFound(NotFound):
    """The storage does not hold this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"The storage holds no {key!r}.")


class UserNotFound(NotFound):
    """No user of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no user {name!r}.")


class Invalid(PypicloudError, ValueError):
    """The request itself is wrong; sending it again does not help."""


class InvalidName(Invalid):
    """Not a valid project name (names specification)."""


class InvalidUpload(Invalid):
    """The form or the distribution breaks a rule; the message says which."""


class ActionGone(InvalidUpload):
    """An ``:action`` that indexes took in former times (submit, submit_pkg_info, doc_upload)."""

    def __init__(self, action: str) -> None:
        super().__init__(f"The action '{action}' is gone; upload files with 'file_upload'.")


class InvalidPassword(Invalid):
    """A new password breaks the rules for passwords."""


class Refused(PypicloudError):
    """Well formed, but not allowed."""


class FileExists(Refused):
    """The filename already holds other bytes."""

    def __init__(self, filename: str, blake2b_256: str) -> None:
        super().__init__(
            f"File already exists ('{filename}', with blake2_256 hash '{blake2b_256}')."
        )


class FilenameUsed(Refused):
    """The filename belonged to a file that was deleted, and stays taken."""

    def __init__(self) -> None:
        super().__init__(
            "This filename was previously used by a file that has since been deleted. "
            "Use a different version."
        )


class UserExists(Refused):
    """A user of that name exists already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"User {name!r} exists already.")


class Unauthenticated(Refused):
    """Nobody has proved who they are."""

    def __init__(self, message: str = "Invalid or missing credentials.") -> None:
        super().__init__(message)


class Forbidden(Refused):
    """Somebody known asks for what they have no right to."""


class ProjectClosed(Refused):
    """The project's status refuses uploads (PEP 792)."""

    def __init__(self, name: str, status: str) -> None:
        super().__init__(f"Project {name!r} is {status}: it takes no uploads.")


class Quarantined(Refused):
    """Nothing of the project is handed out (PEP 792)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Project {name!r} is quarantined: its files are not handed out.")


class TooLarge(PypicloudError):
    """More bytes than the limit allows."""


class Unavailable(PypicloudError):
    """Try again later. ``retry_after`` is in whole seconds."""

    retry_after = 2


class StorageUnavailable(Unavailable):
    """The storage does not answer, or answers nonsense."""


class CacheUnavailable(Unavailable):
    """The cache does not answer."""


class AccessUnavailable(Unavailable):
    """The users and grants cannot be asked."""


class IndexNotReady(Unavailable):
    """The cache was never completely built, so absence proves nothing."""

    retry_after = 5

    def __init__(self) -> None:
        super().__init__("The index is being built; try again in a few seconds.")


class Busy(Unavailable):
    """A bounded pool is full."""


class Corrupt(PypicloudError):
    """The truth contradicts itself; a person must look."""


class JournalBroken(Corrupt):
    """Events that do not follow one another."""


class BlobDamaged(Corrupt):
    """Stored bytes that are missing or not the recorded ones."""


class Misconfigured(PypicloudError):
    """A setting or a backend that cannot work; the message names it."""
