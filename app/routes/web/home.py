"""``/`` and ``/setup``: what this is, what is new, and what tools are told."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request, Response

from app import errors
from app.dependencies import CatalogueDep, OutsideUrlDep, SettingsDep
from app.routes import showing
from app.routes.web.attention import WatchDep
from app.routes.web.viewing import PageReaderDep, RootDep, ViewerDep, pages
from app.web import commands
from app.web.home import HomeView
from app.web.views import ProjectLine, SetupView

router = pages()

RECENT = 10


async def home(
    request: Request,
    settings: SettingsDep,
    catalogue: CatalogueDep,
    reader: PageReaderDep,
    base: OutsideUrlDep,
    root: RootDep,
    watch: WatchDep,
) -> Response:
    """The start page. To whoever may read nothing it says nothing of what is here.

    What needs attention is for those who may act on it: nobody else is told, or asked about.
    """
    try:
        every = await reader.visible(await catalogue.newest())
        readable = True
    except errors.Unauthenticated:
        every, readable = [], False
    view = HomeView(
        base=base,
        projects=len(every),
        recent=[ProjectLine.of(one, root) for one in every[:RECENT]],
        readable=readable,
        attention=await watch.found() if watch is not None else (),
    )
    first = commands.first(base) if base else ()
    return showing.show(request, "home.html", view, first=first, docs=settings.docs)


async def setup(
    request: Request, viewer: ViewerDep, settings: SettingsDep, base: OutsideUrlDep
) -> Response:
    """What each tool is told of this index."""
    view = SetupView(
        base=base,
        host=urlsplit(base or "").hostname or "",
        commands=commands.setup(base) if base else (),
    )
    return showing.show(request, "setup.html", view, docs=settings.docs)


for method in ("GET", "HEAD"):
    router.add_api_route("/", home, methods=[method])
    router.add_api_route("/setup", setup, methods=[method])
