"""What goes wrong with the table, as the cache's failures."""

from __future__ import annotations

from app import errors
from app.dynamodb.failures import Failures, Refused, Unanswered


class CacheRefused(Refused, errors.CacheUnavailable):
    """An answer that is an error."""


class CacheUnanswered(Unanswered, errors.CacheUnavailable):
    """A request without an answer."""


FAILURES = Failures(
    unavailable=errors.CacheUnavailable, refused=CacheRefused, unanswered=CacheUnanswered
)
