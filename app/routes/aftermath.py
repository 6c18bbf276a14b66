"""What is said of a file once it is published: in the audit trail, in the numbers, in the log."""

from __future__ import annotations

import logging

from app.access.ledger import Ledger
from app.index.publish import Published
from app.metrics import Meters
from app.routes.recording import Recorder
from app.routes.trusted import Uploading

PASSED_OVER = (
    "Warning: {project} has a trusted publisher, and this file did not come by it. "
    "If that was not meant, revoke the token, or change the password, that sent it.\n"
)

logger = logging.getLogger(__name__)


async def tell(
    published: Published,
    trusted: Uploading | None,
    ledger: Ledger,
    record: Recorder,
    meters: Meters,
) -> bool:
    """Record and count it: whether a trusted publisher of its project was passed over."""
    file = published.file
    aside = await _passes_over(published, trusted, ledger)
    meters.count("uploads", "new" if published.new else "same").value += 1
    if published.claimed:
        generation = {"generation": file.generation}
        await record.entry("project.claim", f"project:{file.project}", after=generation)
    if published.new:
        meters.count("upload_bytes").value += file.size
        after: dict[str, object] = {"sha256": file.hashes.sha256, "size": file.size}
        if aside:
            after["passed_over"] = "trusted publisher"
            logger.warning("passed over the trusted publisher of its project: %s", file.filename)
        await record.entry("file.publish", f"file:{file.project}/{file.filename}", after=after)
    return aside


async def _passes_over(published: Published, trusted: Uploading | None, ledger: Ledger) -> bool:
    """Whether a token or a password publishes still where a build does: it may have got out."""
    if trusted is not None or not published.new:
        return False
    file = published.file
    registered = await ledger.publishers.of(file.project)
    return any(publisher.generation == file.generation for publisher in registered)
