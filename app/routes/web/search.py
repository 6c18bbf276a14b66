"""``/search``: names and summaries, best first, page by page."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request, Response

from app.dependencies import CatalogueDep, LimitsDep
from app.models import Status
from app.reports import client_address
from app.routes import showing
from app.routes.web.viewing import PageReaderDep, RootDep, pages
from app.web import views
from app.web.ranking import How, Match
from app.web.views import ProjectLine, SearchView

router = pages()

EACH = 20
SUGGESTED = 8
Order = Literal["", "newest", "name"]


@router.get("/search")
@router.head("/search")
async def search(
    request: Request,
    catalogue: CatalogueDep,
    reader: PageReaderDep,
    limits: LimitsDep,
    root: RootDep,
    q: Annotated[str, Query(max_length=200)] = "",
    status: Annotated[Literal["", "active", "archived", "deprecated", "quarantined"], Query()] = "",
    order: Annotated[Order, Query()] = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """Projects that match and that the viewer may read; without a query, all of them."""
    if q:
        await limits.spend(limits.search(client_address(request)))
    matches = list(await catalogue.search(q))
    if status:
        matches = [one for one in matches if one.summary.status is Status(status)]
    allowed = {one.name for one in await reader.visible([one.summary for one in matches])}
    matches = _ordered([one for one in matches if one.summary.name in allowed], order)
    last = views.pages(len(matches), EACH)
    page = min(page, last)
    shown = matches[(page - 1) * EACH : page * EACH]
    view = SearchView(
        query=q,
        status=status,
        order=order,
        total=len(matches),
        page=page,
        pages=last,
        projects=[ProjectLine.found(one, root) for one in shown],
    )
    exact = bool(q) and any(one.how is How.EXACT for one in shown)
    return showing.show(request, "search.html", view, exact=exact, statuses=list(Status))


def _ordered(matches: list[Match], order: str) -> list[Match]:
    if order == "newest":
        return sorted(matches, key=lambda one: one.summary.updated, reverse=True)
    if order == "name":
        return sorted(matches, key=lambda one: one.summary.name)
    return matches
