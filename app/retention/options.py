"""Options of retention and quotas: ``PYPICLOUD_RETENTION__…`` and ``PYPICLOUD_QUOTAS__…``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Self

from pydantic import Field, model_validator

from app.options import Options
from app.quantities import Duration, Size

DAY = timedelta(days=1)
MOST_UNUSED = timedelta(days=90)
"""Downloads are known by version for so long."""


class RuleOptions(Options):
    """What may go of the projects that match ``projects``.

    ``keep``: final releases beyond so many newest. ``prereleases_after``, ``yanked_after``:
    pre-releases, and releases that were yanked as a whole, once they are so old.
    ``unused_after``: releases so old that nobody downloaded in all that time, whole days, as far
    as that was counted. Of every project the newest ``keep_at_least`` releases stay.
    """

    projects: tuple[str, ...] = ("*",)
    keep: int | None = Field(default=None, ge=1)
    prereleases_after: Duration | None = None
    yanked_after: Duration | None = None
    unused_after: Annotated[Duration, Field(ge=DAY, le=MOST_UNUSED)] | None = None
    keep_at_least: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        said = (self.keep, self.prereleases_after, self.yanked_after, self.unused_after)
        if all(one is None for one in said):
            raise ValueError("a rule has keep, prereleases_after, yanked_after or unused_after")
        return self


class RetentionOptions(Options):
    """The rules, and the patterns of what no rule touches: ``NAME`` or ``NAME==VERSION``."""

    rules: tuple[RuleOptions, ...] = ()
    protect: tuple[str, ...] = ()


class QuotaOptions(Options):
    """How much may be published, in bytes: of one project, and of all together.

    ``projects`` maps patterns to what theirs may take instead; the first that fits counts.
    """

    project: Size | None = None
    projects: Mapping[str, Size] = {}
    total: Size | None = None

    def of_project(self, name: str) -> int | None:
        """What one may take; None: there is no limit."""
        for pattern, size in self.projects.items():
            if fnmatchcase(name, pattern):
                return size
        return self.project
