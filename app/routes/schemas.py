"""The shapes of ``/api/v1``: what scripts send and what they get."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.index.progress import Progress, State
from app.models import (
    UNKNOWN_SIZE,
    UNKNOWN_TIME,
    Change,
    File,
    Kind,
    Project,
    ProjectSummary,
    Status,
)

NO_NUL = r"^[^\x00]*$"
"""The pattern of a text that is looked for: no database holds a NUL."""


class Failure(BaseModel):
    """Every answer that is not a success."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "code": "404 There is no project 'holygrail' here.",
                "message": "There is no project 'holygrail' here.",
            }
        }
    )

    code: str = Field(description="The status code and the message, as uv shows it.")
    message: str = Field(description="What was wrong, and what to do.")


FAILURES: dict[int | str, dict[str, Any]] = {
    400: {"model": Failure, "description": "The request itself is wrong."},
    401: {"model": Failure, "description": "Missing or wrong credentials."},
    403: {"model": Failure, "description": "Known, but without the right."},
    404: {"model": Failure, "description": "There is no such thing."},
    429: {"model": Failure, "description": "Too often; see `Retry-After`."},
    503: {"model": Failure, "description": "Try again later; see `Retry-After`."},
}


class StatusChange(BaseModel):
    """A new status marker (PEP 792)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"status": "archived", "reason": "moved to holygrail2"}},
    )

    status: Status
    reason: str | None = None


class YankChange(BaseModel):
    """Yank with or without a reason, or take a yank back (PEP 592)."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"yanked": "Had a vulnerability"}}
    )

    yanked: bool | str = Field(description="true, a reason, or false to take the yank back")


class FileDetail(BaseModel):
    """One file."""

    filename: str
    version: str
    kind: Kind
    size: int | None = Field(description="bytes; null where an upstream does not say")
    sha256: str | None
    blake2b_256: str | None
    md5: str | None
    upload_time: datetime | None
    uploader: str = Field(description="kind:id of who published it")
    source: str = Field(description="upload, adopt, or `upstream:` and its name")
    requires_python: str | None
    yanked: bool
    yanked_reason: str | None
    core_metadata: bool = Field(description="whether `{url}.metadata` is served")
    state: str
    url: str

    @classmethod
    def of(cls, file: File, base: str) -> FileDetail:
        """The file, its URL below ``base``."""
        return cls(
            filename=file.filename,
            version=file.version,
            kind=file.kind,
            size=None if file.size == UNKNOWN_SIZE else file.size,
            sha256=file.hashes.sha256 or None,
            blake2b_256=file.hashes.blake2b_256 or None,
            md5=file.hashes.md5 or None,
            upload_time=None if file.upload_time == UNKNOWN_TIME else file.upload_time,
            uploader=f"{file.uploader.kind}:{file.uploader.id}",
            source=file.source,
            requires_python=file.requires_python,
            yanked=file.yanked is not None,
            yanked_reason=file.yanked or None,
            core_metadata=file.offers_metadata,
            state=file.state,
            url=f"{base}/files/{file.project}/{file.filename}",
        )


class ProjectLine(BaseModel):
    """One project of a list."""

    name: str
    display_name: str
    version: str = Field(description="the newest release")
    summary: str
    updated: datetime
    status: Status

    @classmethod
    def of(cls, summary: ProjectSummary) -> ProjectLine:
        """The line of a summary."""
        return cls(
            name=summary.name,
            display_name=summary.display_name,
            version=summary.version,
            summary=summary.summary,
            updated=summary.updated,
            status=summary.status,
        )


class ProjectPage(BaseModel):
    """Some projects, by name, and where to go on."""

    projects: list[ProjectLine]
    next: str | None = Field(description="`cursor` of the next page; null on the last")


class ProjectDetail(BaseModel):
    """A project and its published files."""

    name: str
    display_name: str
    status: Status
    reason: str | None
    serial: int
    files: list[FileDetail]

    @classmethod
    def of(cls, project: Project, base: str) -> ProjectDetail:
        """The project, URLs below ``base``."""
        return cls(
            name=project.name,
            display_name=project.display_name,
            status=project.status,
            reason=project.status_reason,
            serial=project.serial,
            files=[FileDetail.of(file, base) for file in project.published],
        )


class ChangeLine(BaseModel):
    """One change of the index or of access."""

    serial: int
    action: str
    time: datetime
    actor: str
    project: str | None
    filename: str | None
    version: str | None

    @classmethod
    def of(cls, change: Change) -> ChangeLine:
        """The line of a change."""
        return cls(
            serial=change.serial,
            action=change.action,
            time=change.time,
            actor=f"{change.actor.kind}:{change.actor.id}",
            project=change.project,
            filename=change.filename,
            version=change.version,
        )


class ChangeList(BaseModel):
    """Changes, ascending."""

    changes: list[ChangeLine]
    serial: int = Field(description="`after` of the next request")


class ReindexProgress(BaseModel):
    """How far a reindex has come; of this cache, on whatever replica."""

    running: bool
    state: State = Field(
        description="`idle`: none ever ran; `interrupted`: another replica goes on with it"
    )
    kind: Literal["build", "comparison"] = Field(description="of a new cache, or of a whole one")
    projects: int
    files: int
    repaired: int = Field(description="projects of which the cache lacked something")
    dropped: int = Field(description="what the cache held and the storage does not")
    broken: int = Field(description="journals that cannot be read")
    by: str | None = Field(description="kind:id of who asked for it")
    holder: str | None = Field(description="host:pid of the process that does it")
    since: datetime | None
    updated: datetime | None = Field(description="when the holder last said something")
    reason: str | None = Field(description="why it failed")

    @classmethod
    def of(cls, progress: Progress) -> ReindexProgress:
        """The state of a run."""
        return cls(
            running=progress.running,
            state=progress.state,
            kind="build" if progress.building else "comparison",
            projects=progress.projects,
            files=progress.files,
            repaired=progress.repaired,
            dropped=progress.dropped,
            broken=progress.broken,
            by=progress.by or None,
            holder=progress.holder or None,
            since=progress.since,
            updated=progress.updated,
            reason=progress.reason or None,
        )
