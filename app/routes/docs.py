"""``/docs``: the API described for people, from files of our own and under a strict policy."""

from __future__ import annotations

from pathlib import Path

from fastapi import Response
from fastapi.responses import FileResponse

from app import errors
from app.routes.router import Router

router = Router(include_in_schema=False)

STATIC = Path(__file__).parent.parent / "static"
ASSETS = {
    "docs.js": (STATIC / "docs.js", "text/javascript"),
    "favicon-32x32.png": (STATIC / "swagger" / "favicon-32x32.png", "image/png"),
    "swagger-ui-bundle.js": (STATIC / "swagger" / "swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (STATIC / "swagger" / "swagger-ui.css", "text/css"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.api_route("/docs", methods=["GET", "HEAD"])
async def docs() -> Response:
    """The page; its links are relative, so that it works below any root path."""
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return FileResponse(STATIC / "docs.html", media_type="text/html", headers=headers)


@router.api_route("/docs/{asset}", methods=["GET", "HEAD"])
async def asset(asset: str) -> Response:
    """One of the files that the page is made of."""
    if asset not in ASSETS:
        raise errors.NotFound("There is no such page here.")
    path, media_type = ASSETS[asset]
    headers = {"Cache-Control": "max-age=3600"}
    return FileResponse(path, media_type=media_type, headers=headers)
