"""``/admin/…``: upstreams, disk use, rights, tokens, changes; for admins to look at.

What shows progress tells it as server-sent events (HTML Standard, section 9.2).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated

import msgspec
from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from packaging.utils import NormalizedName

from app import errors
from app.access import tokens
from app.access.base import Grants
from app.dependencies import CatalogueDep, DefaultsDep, SettingsDep, UpstreamsDep
from app.life import Life
from app.models import Change, Permission
from app.routes import browsing, showing
from app.routes.token_schemas import TokenLine
from app.routes.web.administering import Administering, AdministeringDep
from app.routes.web.viewing import pages
from app.state import of as _state
from app.web import overview, views
from app.web.overview import ChangesView, RightsView, UpstreamsView

router = pages()

PATH = "/admin"
EACH = 100
EVENTS = "text/event-stream"
BEAT = 1.0
"""Seconds between two looks at what is under way."""
STRETCH, LOOKS = 1000, 20
"""Changes that are looked through at a time for those that were asked for, and how often."""
FINDINGS = 200
"""Findings of a check that are told one by one."""
_CHECKING = asyncio.Lock()

PageNumber = Annotated[int, Query(ge=1, le=10_000)]


async def get_life(request: Request) -> Life:
    """Whether the process was told to end."""
    found: Life = _state(request)["life"]
    return found


LifeDep = Annotated[Life, Depends(get_life)]


async def show_upstreams(
    request: Request, admin: AdministeringDep, upstreams: UpstreamsDep
) -> Response:
    """How each is doing, and what may be had of it."""
    view = UpstreamsView(
        upstreams=[overview.upstream(client) for client in upstreams.clients],
        rules=overview.rules(upstreams.rules),
    )
    return showing.show(request, "admin_upstreams.html", view)


async def show_disk(request: Request, admin: AdministeringDep, catalogue: CatalogueDep) -> Response:
    """Which projects take most room."""
    known = await catalogue.facets.known()
    return showing.show(request, "admin_disk.html", overview.disk(dict(known.of), known.missing))


async def show_rights(
    request: Request,
    admin: AdministeringDep,
    catalogue: CatalogueDep,
    defaults: DefaultsDep,
    project: Annotated[str, Query(max_length=200)] = "",
    principal: Annotated[str, Query(max_length=200)] = "",
    page: PageNumber = 1,
) -> Response:
    """Who may do what, project by project."""
    asked = {"project": project.strip().lower(), "principal": principal.strip()}
    generations = {one.name: one.generation for one in await catalogue.newest()}
    granted: dict[tuple[NormalizedName, str], Grants] = await admin.access.all_grants()
    every = list(overview.rights(granted, generations, **asked))
    last = views.pages(len(every), EACH)
    page = min(page, last)
    view = RightsView(
        asked=asked,
        defaults={
            right.value: sorted(getattr(defaults, right.value, ()))
            for right in (Permission.READ, Permission.UPLOAD)
        },
        total=len(every),
        page=page,
        pages=last,
        projects=every[(page - 1) * EACH : page * EACH],
    )
    return showing.show(request, "admin_rights.html", view)


async def show_tokens(
    request: Request,
    admin: AdministeringDep,
    settings: SettingsDep,
    done: Annotated[str, Query(max_length=30)] = "",
    page: PageNumber = 1,
) -> Response:
    """Everybody's tokens, newest first."""
    every = await admin.ledger.tokens.of(None)
    last = views.pages(len(every), EACH)
    page = min(page, last)
    shown = every[(page - 1) * EACH : page * EACH]
    return browsing.page(
        request,
        "admin_tokens.html",
        told={
            "tokens": [TokenLine.of(one, settings.tokens.unused_after) for one in shown],
            "total": len(every),
            "page": page,
            "pages": last,
        },
        tokens=[(one, tokens.ends(one, settings.tokens.unused_after)) for one in shown],
        now=browsing.now(),
        total=len(every),
        page=page,
        pages=last,
        done=done,
    )


async def show_changes(
    request: Request,
    admin: AdministeringDep,
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    project: Annotated[str, Query(max_length=200)] = "",
    action: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """What changed in the index, newest first; for one project, or of one kind."""
    history = admin.index.history
    newest = before - 1 if before is not None else await history.serial()
    asked = {"project": project.strip().lower(), "action": action.strip()}
    found: list[Change] = []
    for _ in range(LOOKS):
        oldest = max(0, newest - STRETCH)
        stretch = [one for one in await history.changes(oldest, STRETCH) if one.serial <= newest]
        found += [one for one in reversed(stretch) if overview.fits(one, **asked)]
        newest = oldest
        if len(found) >= EACH or oldest == 0:
            break
    more = found[EACH - 1].serial if len(found) > EACH else newest + 1
    view = ChangesView(changes=found[:EACH], asked=asked, before=more if more > 1 else None)
    return showing.show(request, "admin_changes.html", view)


async def follow_reindex(admin: AdministeringDep, life: LifeDep) -> StreamingResponse:
    """How far the latest reindex has come, until it ends, wherever it runs."""

    async def tell() -> AsyncIterator[bytes]:
        while True:
            progress = await admin.index.reindexing()
            yield _event("progress", asdict(progress))
            if not progress.running or life.draining:
                return
            await asyncio.sleep(BEAT)

    return _stream(tell())


async def check(request: Request, admin: AdministeringDep, life: LifeDep) -> Response:
    """Compare cache, journal and bytes; what does not agree is told as it is found."""
    sent = await browsing.own_form(request, admin.visit)
    deep = browsing.one(sent, "deep") == "yes"
    if EVENTS in request.headers.get("accept", ""):
        return _stream(_checked(admin, life, deep=deep))
    told = [one async for one in _comparing(admin, life, deep=deep)]
    findings = [str(one["finding"]) for one in told if "finding" in one]
    return browsing.page(request, "admin_check.html", findings=findings, end=told[-1])


async def _checked(admin: Administering, life: Life, *, deep: bool) -> AsyncIterator[bytes]:
    # Closed at once where the client has gone: others wait for their turn.
    async with aclosing(_comparing(admin, life, deep=deep)) as comparing:
        try:
            async for told in comparing:
                yield _event("finding" if "finding" in told else "progress", told)
        except errors.PypicloudError as why:  # the answer has begun, so it cannot be a 503
            yield _event("broken", {"message": str(why)})


async def _comparing(
    admin: Administering, life: Life, *, deep: bool
) -> AsyncGenerator[dict[str, object]]:
    """What was found, and how far it has come; one at a time in this process."""
    async with _CHECKING:
        work = admin.index.check(deep=deep)
        found = 0
        following = work.run()
        waiting = asyncio.ensure_future(anext(following, None))
        try:
            while True:
                await asyncio.wait({waiting}, timeout=BEAT)
                if not waiting.done():
                    yield {**asdict(work.checked), "findings": found, "running": True}
                    if life.draining:
                        return
                    continue
                finding = waiting.result()
                if finding is None:
                    break
                found += 1
                if found <= FINDINGS:
                    yield {"finding": str(finding)}
                waiting = asyncio.ensure_future(anext(following, None))
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        outcome = "fail" if found else "ok"
        facts = {**asdict(work.checked), "findings": found, "deep": deep}
        await admin.record.entry("integrity.check", "", outcome=outcome, after=facts)
        yield {**asdict(work.checked), "findings": found, "running": False}


def _event(kind: str, told: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(told))


def _stream(events: AsyncIterator[bytes]) -> StreamingResponse:
    # A proxy that collects answers would tell of nothing before the end.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type=EVENTS, headers=headers)


for name, page in (
    ("upstreams", show_upstreams),
    ("disk", show_disk),
    ("rights", show_rights),
    ("tokens", show_tokens),
    ("changes", show_changes),
):
    router.add_api_route(f"{PATH}/{name}", page, methods=["GET", "HEAD"])
router.add_api_route(f"{PATH}/reindex/events", follow_reindex, methods=["GET"])
router.add_api_route(f"{PATH}/check", check, methods=["POST"])
