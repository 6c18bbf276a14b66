"""``/`` for a browser: what this is, and the commands a newcomer needs."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter, Response

from app.dependencies import OutsideUrlDep, SettingsDep

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


async def home(settings: SettingsDep, base: OutsideUrlDep) -> Response:
    """The start page. It is the same for everybody, and says nothing of what is here."""
    root = escape(settings.root_path)
    docs = f' · <a href="{root}/docs">The API</a>' if settings.docs else ""
    commands = _COMMANDS.format(base=escape(base)) if base else ""
    page = _PAGE.format(root=root, docs=docs, commands=commands)
    return Response(page, media_type="text/html", headers={"Cache-Control": "no-cache"})


for method in ("GET", "HEAD"):
    router.add_api_route("/", home, methods=[method], include_in_schema=False)
