"""Everything that can go wrong, as one tree; it knows nothing of HTTP.

::

    PypicloudError
    ├── NotFound (LookupError)         what was asked for does not exist
    │   ├── ProjectNotFound
    │   ├── ReleaseNotFound
    │   ├── FileNotFound
    │   ├── KeyNotFound                a key that the storage does not hold
    │   ├── UserNotFound
    │   ├── GroupNotFound
    │   ├── TokenNotFound
    │   └── PublisherNotFound
    ├── Invalid (ValueError)           the request itself is wrong
    │   ├── InvalidName
    │   ├── InvalidUpload
    │   │   └── ActionGone             an upload action of former times
    │   ├── InvalidPassword
    │   └── InvalidHash                a password hash of no make that is known
    ├── Refused                        well formed, but not allowed
    │   ├── MintRefused                no upload token for this identity token
    │   ├── FileExists                 the filename holds other bytes
    │   ├── FilenameUsed               the filename was deleted; it stays taken
    │   ├── UserExists
    │   ├── GroupExists
    │   ├── PublisherExists
    │   ├── NotEditable                the backend of users is read only
    │   ├── Unauthenticated            nobody has proved who they are
    │   ├── Forbidden                  somebody known, without the right
    │   ├── TooManyAttempts            within a while; try again later
    │   ├── ProjectClosed              archived or quarantined: no uploads
    │   ├── Withheld                   an upstream's file that a rule keeps from us
    │   └── Quarantined                nothing of the project is handed out
    ├── TooLarge                       more bytes than the limit allows
    ├── Unavailable                    try again later; nothing is known to be wrong
    │   ├── StorageUnavailable
    │   ├── CacheUnavailable
    │   ├── AccessUnavailable
    │   ├── Unreachable                another service that was to be asked
    │   ├── IndexNotReady              the cache was never completely built
    │   └── Busy                       a bounded pool is full
    ├── Corrupt                        the truth contradicts itself
    │   ├── JournalBroken
    │   └── BlobDamaged
    └── Misconfigured                  a setting or a backend that cannot work

The doors map branches to status codes; nothing below them does.
"""

from __future__ import annotations

from datetime import timedelta


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


class GroupNotFound(NotFound):
    """No group of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no group {name!r}.")


class TokenNotFound(NotFound):
    """No token of that id, or not one of the caller's."""

    def __init__(self, id: str) -> None:
        super().__init__(f"There is no token {id!r}.")


class PublisherNotFound(NotFound):
    """No publisher of that id."""

    def __init__(self, id: str) -> None:
        super().__init__(f"There is no publisher {id!r}.")


class Invalid(PypicloudError, ValueError):
    """The request itself is wrong; sending it again does not help."""


class InvalidName(Invalid):
    """Not a valid project name (names specification)."""


class InvalidUpload(Invalid):
    """The form or the distribution breaks a rule; the message says which."""


class ActionGone(InvalidUpload):
    """An ``:action`` that indexes took in former times (submit, submit_pkg_info, …)."""

    def __init__(self, action: str) -> None:
        super().__init__(f"The action '{action}' is gone; upload files with 'file_upload'.")


class InvalidPassword(Invalid):
    """A new password breaks the rules for passwords."""


class InvalidHash(Invalid):
    """A password hash that nothing here can verify."""


class Refused(PypicloudError):
    """Well formed, but not allowed."""


class MintRefused(Refused):
    """No upload token for this identity token (trusted publishing).

    ``code`` is one that clients know; ``reason`` is for the audit trail alone."""

    def __init__(self, code: str, description: str, *, reason: str = "") -> None:
        super().__init__(description)
        self.code = code
        self.reason = reason or description


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


class GroupExists(Refused):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Group {name!r} exists already.")


class PublisherExists(Refused):
    """The project has a publisher just like it."""

    def __init__(self) -> None:
        super().__init__("The project has this publisher already.")


class NotEditable(Refused):
    """The backend of users cannot be changed from here."""

    def __init__(self, backend: str) -> None:
        super().__init__(
            f"Users, groups and grants come from {backend} and are changed there, not here."
        )


class Unauthenticated(Refused):
    """Nobody has proved who they are."""

    def __init__(self, message: str = "Invalid or missing credentials.") -> None:
        super().__init__(message)


class Forbidden(Refused):
    """Somebody known asks for what they have no right to."""


class TooManyAttempts(Refused):
    """More than a limit allows within a while. ``retry_after`` is in whole seconds."""

    def __init__(self, window: timedelta) -> None:
        self.retry_after = max(1, round(window.total_seconds()))
        super().__init__(f"Too many attempts; try again in {self.retry_after} seconds.")


class ProjectClosed(Refused):
    """The project's status refuses uploads (PEP 792)."""

    def __init__(self, name: str, status: str) -> None:
        super().__init__(f"Project {name!r} is {status}: it takes no uploads.")


class Quarantined(Refused):
    """Nothing of the project is handed out (PEP 792)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Project {name!r} is quarantined: its files are not handed out.")


class Withheld(Refused):
    """A file of an upstream that a rule keeps back; the message says which and who lifts it."""


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


class Unreachable(Unavailable):
    """Another service gave no answer that could be used; the message names it."""


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
