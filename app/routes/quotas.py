"""Whether there is room for an upload."""

from __future__ import annotations

from app import errors
from app.index import Index
from app.retention.options import QuotaOptions
from app.upload.distribution import Distribution
from app.web.catalogue import Catalogue
from app.web.languages import size as in_words

PATIENCE = 20.0
"""Seconds that an upload waits for all projects to be added up, after a start."""


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
                f"There is no room: project {name!r} has {in_words(taken)} of {in_words(limit)}. "
                "Delete what nobody needs, or ask whoever runs this index for more."
            )
    if quotas.total is None:
        return
    if (await catalogue.facets.known(PATIENCE)).missing:
        raise errors.Busy("What is here is still being added up; try again in a few seconds.")
    taken = catalogue.facets.size
    if taken + size > quotas.total:
        raise errors.TooLarge(
            f"There is no room: this index has {in_words(taken)} of {in_words(quotas.total)}. "
            "Ask whoever runs it for more."
        )
