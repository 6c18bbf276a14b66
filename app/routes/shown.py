"""What a caller may see, as the reading doors hand it on."""

from __future__ import annotations

from typing import NamedTuple

from app.access.base import Grants
from app.models import File, Project
from app.upstream.relayed import Relayed


class Shown(NamedTuple):
    """A project that the caller may read; ``public``: so may everyone."""

    project: Project
    public: bool


class Handed(NamedTuple):
    """A file that the caller may have; ``public``: so may everyone."""

    file: File
    public: bool


class Abroad(NamedTuple):
    """A project of an upstream that the caller may read, beside ``own`` where that is shared.

    ``direct``: the caller is sent to the upstream for the bytes. ``alike``: whoever may read
    it gets the same.
    """

    relayed: Relayed
    public: bool
    direct: bool
    alike: bool
    own: Project | None = None


class Right(NamedTuple):
    """That the caller may read a project, and by what; ``public``: so may everyone."""

    generation: str | None
    grants: Grants
    public: bool
