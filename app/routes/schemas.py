"""The shapes of ``/api/v1``: what scripts send and what they get."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.index.reindex import Progress
from app.models import Change, File, Kind, Project, ProjectSummary, Status


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
    size: int = Field(description="bytes")
    sha256: str
    blake2b_256: str
    md5: str
    upload_time: datetime
    uploader: str = Field(description="kind:id of who published it")
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
            size=file.size,
            sha256=file.hashes.sha256,
            blake2b_256=file.hashes.blake2b_256,
            md5=file.hashes.md5,
            upload_time=file.upload_time,
            uploader=f"{file.uploader.kind}:{file.uploader.id}",
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
    """How far a reindex has come; all zero where none ran in this process."""

    running: bool = False
    projects: int = 0
    files: int = 0
    repaired: int = 0
    dropped: int = 0
    broken: int = 0

    @classmethod
    def of(cls, progress: Progress | None) -> ReindexProgress:
        """The state of a run, or of none."""
        if progress is None:
            return cls()
        return cls(
            running=progress.running,
            projects=progress.projects,
            files=progress.files,
            repaired=progress.repaired,
            dropped=progress.dropped,
            broken=progress.broken,
        )
