"""What goes wrong with the table, as failures of access."""

from __future__ import annotations

from app import errors
from app.dynamodb.failures import Failures, Refused, Unanswered


class AccessRefused(Refused, errors.AccessUnavailable):
    """An answer that is an error."""


class AccessUnanswered(Unanswered, errors.AccessUnavailable):
    """A request without an answer."""


FAILURES = Failures(
    unavailable=errors.AccessUnavailable, refused=AccessRefused, unanswered=AccessUnanswered
)
