"""What the pages show on which people act. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.models import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedRelease:
    """A release to be managed. ``yanked``: the reason, None where it is not."""

    version: str
    yanked: str | None
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedFile:
    """A file that can be restored."""

    filename: str
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantView:
    """What a principal has on a project."""

    principal: str
    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManageView:
    """All that may be done with a project."""

    name: str
    display_name: str
    url: str
    status: Status
    status_reason: str
    releases: Sequence[ManagedRelease]
    deleted: Sequence[DeletedFile]
    grants: Sequence[GrantView]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedView:
    """A file that is published; ``new``: it was not before.

    ``passed_over``: its project has a trusted publisher, which did not send it.
    """

    filename: str
    sha256: str
    new: bool
    passed_over: bool
    url: str
