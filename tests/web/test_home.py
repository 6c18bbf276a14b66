"""What of a start page's sources needs attention."""

from __future__ import annotations

from app.index.progress import IDLE, Progress
from app.web.home import Attention, of_reindex


def test_a_reindex_that_failed_is_told_of_with_its_reason() -> None:
    """One that is under way, done or was never asked for is not."""
    failed = Progress(running=False, state="failed", reason="The storage does not answer.")
    told = Attention(kind="reindex", url="/py/admin", text="The storage does not answer.")
    assert of_reindex(failed, "/py") == [told]
    for fine in (IDLE, Progress(), Progress(running=False, state="done", repaired=3)):
        assert of_reindex(fine, "") == []


def test_broken_journals_are_counted_also_beside_a_failure() -> None:
    """Both are said."""
    found = of_reindex(Progress(running=False, state="failed", broken=2), "")
    assert [(one.kind, one.count) for one in found] == [("reindex", 0), ("journals", 2)]
