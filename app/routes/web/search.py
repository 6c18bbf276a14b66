"""``/search``: names and summaries, best first, page by page; and what releases say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from fastapi import Depends, Query, Request, Response

from app.dependencies import CatalogueDep, LimitsDep
from app.models import Status
from app.reports import client_address
from app.routes import showing
from app.routes.web.viewing import PageReaderDep, RootDep, pages
from app.web import views
from app.web.catalogue import Catalogue
from app.web.facets import Known, Said
from app.web.ranking import How, Match
from app.web.views import ProjectLine, SearchView, Wanted

router = pages()

EACH = 20
CLASSIFIERS = 200
"""So many are offered, the most frequent ones."""
Order = Literal["", "newest", "name"]
Term = Annotated[str, Query(max_length=200)]


async def get_wanted(
    status: Annotated[Literal["", "active", "archived", "deprecated", "quarantined"], Query()] = "",
    origin: Annotated[Literal["", "upload", "adopted", "upstream"], Query()] = "",
    yanked: Annotated[Literal["", "yes", "no"], Query()] = "",
    keyword: Term = "",
    classifier: Term = "",
) -> Wanted:
    """What projects have to be, beside what is typed."""
    return Wanted(
        status=status,
        origin=origin,
        yanked=yanked,
        keyword=keyword.strip(),
        classifier=classifier.strip(),
    )


@router.get("/search")
@router.head("/search")
async def search(
    request: Request,
    catalogue: CatalogueDep,
    reader: PageReaderDep,
    limits: LimitsDep,
    root: RootDep,
    wanted: Annotated[Wanted, Depends(get_wanted)],
    q: Term = "",
    order: Annotated[Order, Query()] = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """Projects that match and that the viewer may read; without a query, all of them."""
    if q or wanted.looks_inside:
        await limits.spend(limits.search(client_address(request)))
    matches = list(await catalogue.search(q))
    if wanted.status:
        matches = [one for one in matches if one.summary.status is Status(wanted.status)]
    allowed = {one.name for one in await reader.visible([one.summary for one in matches])}
    matches = [one for one in matches if one.summary.name in allowed]
    known = await _known(catalogue, wanted)
    offered = _classifiers(matches, known)
    matches = _ordered([one for one in matches if _fits(one, wanted, known)], order)
    last = views.pages(len(matches), EACH)
    page = min(page, last)
    shown = matches[(page - 1) * EACH : page * EACH]
    view = SearchView(
        query=q,
        wanted=wanted,
        order=order,
        total=len(matches),
        page=page,
        pages=last,
        missing=known.missing,
        projects=[ProjectLine.found(one, root) for one in shown],
    )
    exact = bool(q) and any(one.how is How.EXACT for one in shown)
    return showing.show(
        request, "search.html", view, exact=exact, statuses=list(Status), classifiers=offered
    )


async def _known(catalogue: Catalogue, wanted: Wanted) -> Known:
    """What releases say, where that is asked for: to know it, they have to be read."""
    return await catalogue.facets.known() if wanted.looks_inside else Known({}, 0)


def _fits(match: Match, wanted: Wanted, known: Known) -> bool:
    if not wanted.looks_inside:
        return True
    said = known.of.get(match.summary.name)
    return said is not None and all(_conditions(said, wanted))


def _conditions(said: Said, wanted: Wanted) -> Iterable[bool]:
    if wanted.keyword:
        yield wanted.keyword.casefold() in said.keywords
    if wanted.classifier:
        # "Framework :: Django" also finds those of its versions.
        whole = wanted.classifier
        yield any(one == whole or one.startswith(f"{whole} ::") for one in said.classifiers)
    if wanted.origin:
        places = said.origin.split(", ")
        own = ("upload", "adopted")
        yield any(
            place == wanted.origin or (wanted.origin == "upstream" and place not in own)
            for place in places
        )
    if wanted.yanked:
        yield said.yanked is (wanted.yanked == "yes")


def _classifiers(matches: Sequence[Match], known: Known) -> list[str]:
    """Those that occur among what the viewer may read, by name."""
    counted: Counter[str] = Counter()
    for one in matches:
        if (said := known.of.get(one.summary.name)) is not None:
            counted.update(said.classifiers)
    return sorted(name for name, _ in counted.most_common(CLASSIFIERS))


def _ordered(matches: list[Match], order: str) -> list[Match]:
    if order == "newest":
        return sorted(matches, key=lambda one: one.summary.updated, reverse=True)
    if order == "name":
        return sorted(matches, key=lambda one: one.summary.name)
    return matches
