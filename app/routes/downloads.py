"""``/api/v1/…/downloads``: how often what was downloaded, and by which tools."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from app import errors
from app.dependencies import AdminDep, DownloadsDep, IndexDep, ProjectDep
from app.downloads import RECENT, Downloads, Figures
from app.routes.reading import ReaderDep
from app.routes.router import Router
from app.routes.schemas import FAILURES

router = Router(prefix="/api/v1", tags=["api"], responses=FAILURES)

PAGE = 1000


class DownloadDay(BaseModel):
    """How much was downloaded on a day (UTC)."""

    day: date
    count: int


class ProjectDownloads(BaseModel):
    """The downloads of a project; an empty name stands for what was not told apart."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "total": 5,
                "days": [{"day": "2026-11-28", "count": 2}, {"day": "2026-11-29", "count": 3}],
                "versions": {"1.1": 4, "1.0": 1},
                "installers": {"pip": 3, "uv": 2},
                "pythons": {"3.12": 5},
            }
        }
    )

    total: int = Field(description="of all days that are kept")
    days: list[DownloadDay] = Field(description="the last 90, today (UTC) last")
    versions: dict[str, int] = Field(description="of these days, as the next two")
    installers: dict[str, int]
    pythons: dict[str, int]

    @classmethod
    def of(cls, figures: Figures) -> ProjectDownloads:
        """As the API shows it."""
        return cls(
            total=figures.total,
            days=[DownloadDay(day=day, count=count) for day, count in figures.days],
            versions=dict(figures.versions),
            installers=dict(figures.installers),
            pythons=dict(figures.pythons),
        )


class DownloadedProject(BaseModel):
    """A project, and how often it was downloaded."""

    project: str
    count: int


class MostDownloaded(BaseModel):
    """The most downloaded projects first."""

    days: int = Field(description="so many, today included")
    projects: list[DownloadedProject]


def _counting(downloads: Downloads | None) -> Downloads:
    if downloads is None:
        raise errors.NotFound("Downloads are not counted here.")
    return downloads


@router.get("/projects/{project}/downloads", summary="Count a project's downloads")
async def project_downloads(
    project: ProjectDep, reader: ReaderDep, index: IndexDep, downloads: DownloadsDep
) -> ProjectDownloads:
    """How often files of the project were handed out, by day, version, installer and Python."""
    await reader.listed(project)
    generation = await index.generation(project)
    return ProjectDownloads.of(await _counting(downloads).figures(project, generation))


@router.get("/downloads", summary="List the most downloaded projects")
async def most_downloaded(
    admin: AdminDep,
    downloads: DownloadsDep,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = 100,
) -> MostDownloaded:
    """Of the last 30 days; projects of upstreams and deleted ones too."""
    found = await _counting(downloads).most(limit)
    projects = [DownloadedProject(project=name, count=count) for name, count in found]
    return MostDownloaded(days=RECENT, projects=projects)
