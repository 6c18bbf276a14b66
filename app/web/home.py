"""What the start page shows, and what of it needs somebody's attention. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from app.access.ledger import Token
from app.access.tokens import ends
from app.index.progress import Progress
from app.models import ProjectSummary, Status
from app.web.views import ProjectLine

SOON = timedelta(days=14)
"""A token that ends within this time is told of."""
EACH = 5
"""So many projects are named; more are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Something that somebody who looks should do something about, at ``url``.

    ``kind`` says what it is, of how many (``count``) or of what (``text``); ``unasked`` is of
    a part that did not answer.
    """

    kind: str
    url: str
    count: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeView:
    """The start page. ``base`` is how clients reach the index, None where that is not known."""

    base: str | None
    projects: int
    recent: Sequence[ProjectLine]
    readable: bool
    attention: Sequence[Attention] = ()


def of_tokens(
    tokens: Iterable[Token], unused_after: timedelta, now: datetime, root: str
) -> list[Attention]:
    """Those that have ended, and those that end soon."""
    ending = [ends(one, unused_after) for one in tokens]
    counts = {
        "tokens-ended": sum(end <= now for end in ending),
        "tokens-ending": sum(now < end <= now + SOON for end in ending),
    }
    url = f"{root}/account"
    return [Attention(kind=kind, url=url, count=count) for kind, count in counts.items() if count]


def of_projects(projects: Iterable[ProjectSummary], root: str) -> list[Attention]:
    """Those in quarantine: few are named, each with the page where it is managed."""
    held = [one for one in projects if one.status is Status.QUARANTINED]
    if len(held) > EACH:
        url = f"{root}/search?status=quarantined"
        return [Attention(kind="quarantined-many", url=url, count=len(held))]
    return [
        Attention(
            kind="quarantined",
            url=f"{root}/project/{quote(one.name)}/manage",
            text=one.display_name,
        )
        for one in held
    ]


def of_reindex(latest: Progress, root: str) -> list[Attention]:
    """One that failed, and journals that it could not read."""
    found = []
    if latest.state == "failed":
        found.append(Attention(kind="reindex", url=f"{root}/admin", text=latest.reason))
    if latest.broken:
        found.append(Attention(kind="journals", url=f"{root}/admin", count=latest.broken))
    return found
