"""Whether there is room for an upload."""

from __future__ import annotations

from app import errors
from app.index import Index
from app.retention.options import QuotaOptions
from app.upload.distribution import Distribution
from app.web.catalogue import Catalogue

PATIENCE = 20.0
"""Seconds that an upload waits for all projects to be added up, after a start."""
_UNITS = ("kB", "MB", "GB", "TB")


async def require_room(
    quotas: QuotaOptions, index: Index, catalogue: Catalogue, distribution: Distribution
) -> None:
    """Raises errors.TooLarge, and errors.Busy while it is not known what is taken.

    Uploads that come at the same moment are each held against what was there before.
    """
    name, size = distribution.project, distribution.size
    if (limit := quotas.of_project(name)) is not None:
        try:
            published = (await index.project(name)).published
        except errors.ProjectNotFound:
            published = ()
        # The same file again takes nothing more.
        taken = sum(one.size for one in published if one.filename != distribution.filename)
        if taken + size > limit:
            raise errors.TooLarge(
                f"There is no room: project {name!r} has {readable(taken)} of {readable(limit)}. "
                "Delete what nobody needs, or ask whoever runs this index for more."
            )
    if quotas.total is None:
        return
    if (await catalogue.facets.known(PATIENCE)).missing:
        raise errors.Busy("What is here is still being added up; try again in a few seconds.")
    taken = catalogue.facets.size
    if taken + size > quotas.total:
        raise errors.TooLarge(
            f"There is no room: this index has {readable(taken)} of {readable(quotas.total)}. "
            "Ask whoever runs it for more."
        )


def readable(size: int) -> str:
    """Bytes, for people."""
    if size < 1000:
        return f"{size} bytes"
    scaled, unit = float(size), ""
    for unit in _UNITS:  # noqa: B007  # the one that it ended with
        scaled /= 1000
        if scaled < 1000:
            break
    return f"{scaled:.4g} {unit}"
