"""The web pages; each module here is one kind of them.

A page is a view (app.web.views) that a template writes, or JSON for whoever asks for that.
"""

from __future__ import annotations

from app.routes.router import Router
from app.routes.web import (
    administering,
    feeds,
    home,
    inside,
    managing,
    overseeing,
    project,
    search,
    uploading,
)
from app.routes.web.viewing import missing

__all__ = ["missing", "router"]

router = Router(include_in_schema=False)
for _module in (
    home,
    search,
    managing,
    inside,
    project,
    feeds,
    uploading,
    administering,
    overseeing,
):
    router.routes.extend(_module.router.routes)
