"""``/`` for a browser: what this is, and the commands a newcomer needs."""

from __future__ import annotations

from html import escape
from ipaddress import ip_address

from fastapi import APIRouter, Response

from app.config import Settings
from app.dependencies import SettingsDep

router = APIRouter()

_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>PyPICloud</title></head><body>
<h1>PyPICloud</h1>
<p>A private Python package index.
<a href="{root}/simple/">The index</a>{docs}</p>
{commands}</body></html>
"""
_COMMANDS = """\
<h2>Install</h2>
<pre>pip install --index-url {base}/simple/ NAME
uv pip install --index {base}/simple/ NAME</pre>
<h2>Upload</h2>
<pre>twine upload --repository-url {base}/legacy/ dist/*
uv publish --publish-url {base}/legacy/ dist/*</pre>
"""


async def home(settings: SettingsDep) -> Response:
    """The start page. It is the same for everybody, and says nothing of what is here."""
    root = escape(settings.root_path)
    docs = f' · <a href="{root}/docs">The API</a>' if settings.docs else ""
    base = _base(settings)
    commands = _COMMANDS.format(base=escape(base)) if base else ""
    page = _PAGE.format(root=root, docs=docs, commands=commands)
    return Response(page, media_type="text/html", headers={"Cache-Control": "no-cache"})


for method in ("GET", "HEAD"):
    router.add_api_route("/", home, methods=[method], include_in_schema=False)


def _base(settings: Settings) -> str | None:
    """How clients reach us: never by a Host that a client sent; None where we cannot know."""
    if settings.public_url:
        return settings.public_url
    try:
        local = ip_address(settings.host).is_loopback
    except ValueError:
        local = settings.host == "localhost"
    return f"http://{settings.host}:{settings.port}{settings.root_path}" if local else None
