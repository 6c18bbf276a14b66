"""Whether a project matches a search. Pure; what a backend's own query must agree with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.cache.base import Query
from app.models import ProjectSummary


def matching(query: Query) -> Callable[[ProjectSummary], bool]:
    """What tells whether a line of the list of projects is one that the query asks for."""
    if not query.names and not query.summaries:
        return lambda line: True
    joined = any if query.operator == "or" else all
    names, summaries = _folded(query.names), _folded(query.summaries)

    def found(line: ProjectSummary) -> bool:
        if names and joined(term in line.name for term in names):
            return True
        if not summaries:
            return False
        text = line.summary.casefold()
        return joined(term in text for term in summaries)

    return found


def _folded(terms: Sequence[str]) -> Sequence[str]:
    return [term.casefold() for term in terms]
