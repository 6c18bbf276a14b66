"""What can go wrong between us and DynamoDB, told in one line and without a secret."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from app import aws, errors

BUSY = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
"""Codes, also those of the reasons of a transaction, that ask to come again."""
CONTENDED = frozenset({"ConditionalCheckFailed", "TransactionConflict"})
"""Reasons of a transaction that somebody else was faster than."""


class Refused(errors.Unavailable):
    """An answer that is an error. ``reasons`` are those of a transaction that was cancelled."""

    def __init__(self, error: ClientError) -> None:
        told = error.response.get("Error", {})
        answer = error.response.get("ResponseMetadata", {})
        self.code = str(told.get("Code", ""))
        self.status = int(answer.get("HTTPStatusCode", 0))
        reasons = (reason.get("Code") for reason in error.response.get("CancellationReasons", ()))
        self.reasons = {str(reason) for reason in reasons if reason not in (None, "None")}
        said = ", ".join(sorted(self.reasons)) or aws.said(error)
        super().__init__(f"DynamoDB answers {self.status} {self.code}: {said}".rstrip(": "))

    @property
    def absent(self) -> bool:
        """Whether it says that there is no such table."""
        return self.code == "ResourceNotFoundException"

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed in a moment."""
        return self.status >= 500 or self.code in BUSY

    @property
    def contended(self) -> bool:
        """Whether a transaction is to be made anew, of what stands there now."""
        return bool(self.reasons) and self.reasons <= CONTENDED | BUSY


class Unanswered(errors.Unavailable):
    """A request without an answer: it may have been done."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"DynamoDB {aws.broken(error)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """The room's own kinds of what can go wrong."""

    unavailable: type[errors.Unavailable]
    refused: type[Refused]
    unanswered: type[Unanswered]
