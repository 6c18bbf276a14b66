"""Whether a project matches a search. Pure; what a backend's own query must agree with."""

from __future__ import annotations

from collections.abc import Sequence

from app.cache.base import Query
from app.models import ProjectSummary


def matches(query: Query, summary: ProjectSummary) -> bool:
    """Whether this line of the list of projects is one that the query asks for."""
    if not query.names and not query.summaries:
        return True
    return _contains(query, query.names, summary.name) or _contains(
        query, query.summaries, summary.summary
    )


def _contains(query: Query, terms: Sequence[str], text: str) -> bool:
    folded = text.casefold()
    found = (term.casefold() in folded for term in terms)
    return bool(terms) and (any(found) if query.operator == "or" else all(found))
