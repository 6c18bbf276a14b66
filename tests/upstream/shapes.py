"""Pages of projects as other people's servers write them: the shapes, each with its oddities."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from tests.factories import Made
from tests.servers.upstream import Asked, Sent

HTML = {"Content-Type": "text/html; charset=utf-8"}


@dataclass
class Shape:
    """A server: the path of its index, and what it has at which path."""

    root: str
    pages: dict[str, Sent] = field(default_factory=dict)
    hashed: bool = True
    """Whether pages have a sha256."""
    requires: str | None = ">=3.9"
    """What pages say of Python versions."""

    def page(self, name: str, body: str, **headers: str) -> None:
        """A project's page."""
        self.pages[f"{self.root}{name}/"] = Sent(body=body.encode(), headers={**HTML, **headers})

    def file(self, path: str, made: Made) -> None:
        """A file."""
        self.pages[path] = Sent(body=made.content)

    def answer(self, asked: Asked) -> Sent:
        """What it sends; ranges are not its thing."""
        found = self.pages.get(asked.path)
        return Sent(404) if found is None else Sent(200, found.body, dict(found.headers))


Make = Callable[[str, str, Made], Shape]
PYTHON = html.escape(">=3.9")


def devpi(url: str, name: str, made: Made) -> Shape:
    """Files in folders named by their hash, links relative to the page, a heading before."""
    shape = Shape("/root/dev/+simple/")
    place = f"+f/{made.sha256[:3]}/{made.sha256[3:16]}/{made.filename}"
    shape.file(f"/root/dev/{place}", made)
    shape.page(
        name,
        f"<!DOCTYPE html><html><head><title>root/dev: links for {name}</title></head><body>"
        f'<h1>root/dev: links for {name}</h1><form action="../../refresh" method="post">'
        '<input name="refresh" type="submit" value="Refresh"/></form>\n'
        f'<a href="../../{place}#sha256={made.sha256}" data-requires-python="{PYTHON}">'
        f"{made.filename}</a><br/>\n</body></html>",
    )
    return shape


def artifactory(url: str, name: str, made: Made) -> Shape:
    """Two levels up, and marked as internal."""
    shape = Shape("/artifactory/api/pypi/team-pypi/simple/")
    place = f"{name}/1.0/{made.filename}"
    shape.file(f"/artifactory/api/pypi/team-pypi/{place}", made)
    shape.page(
        name,
        f"<!DOCTYPE html>\n<html>\n<head><title>Links for {name}</title></head>\n<body>\n"
        f"<h1>Links for {name}</h1>\n"
        f'<a data-requires-python="{PYTHON}" href="../../{place}#sha256={made.sha256}"'
        f' rel="internal" >{made.filename}</a><br/>\n</body>\n</html>',
    )
    return shape


def nexus(url: str, name: str, made: Made) -> Shape:
    """``packages`` beside ``simple``; indented, and only an md5 where the file is an old one."""
    shape = Shape("/repository/pypi-hosted/simple/", hashed=False, requires=None)
    place = f"packages/{name}/1.0/{made.filename}"
    md5 = hashlib.md5(made.content, usedforsecurity=False).hexdigest()
    shape.file(f"/repository/pypi-hosted/{place}", made)
    shape.page(
        name,
        f'<html lang="en">\n<head><title>Links for {name}</title>\n'
        '<meta name="api-version" value="2"/>\n</head>\n<body>\n'
        f"<h1>Links for {name}</h1>\n"
        f'    <a href="../../{place}#md5={md5}" rel="internal">{made.filename}</a><br/>\n'
        "</body>\n</html>\n",
    )
    return shape


def gitlab(url: str, name: str, made: Made) -> Shape:
    """Whole URLs, the hash in the path too, and an attribute that is there and empty."""
    shape = Shape("/api/v4/projects/17/packages/pypi/simple/", requires=None)
    place = f"/api/v4/projects/17/packages/pypi/files/{made.sha256}/{made.filename}"
    shape.file(place, made)
    shape.page(
        name,
        f"<!DOCTYPE html>\n<html>\n  <head>\n    <title>Links for {name}</title>\n  </head>\n"
        f"  <body>\n    <h1>Links for {name}</h1>\n"
        f'    <a href="{url}{place}#sha256={made.sha256}" data-requires-python="">'
        f"{made.filename}</a><br>\n  </body>\n</html>\n",
    )
    return shape


def codeartifact(url: str, name: str, made: Made) -> Shape:
    """Files below the page, by version; the page is not to be kept by anybody."""
    shape = Shape("/pypi/team/simple/")
    shape.file(f"/pypi/team/simple/{name}/1.0/{made.filename}", made)
    shape.page(
        name,
        f"<!DOCTYPE html><html><head><title>Links for {name}</title></head><body>"
        f"<h1>Links for {name}</h1>"
        f'<a href="1.0/{made.filename}#sha256={made.sha256}" data-requires-python="{PYTHON}"'
        f' data-gpg-sig="false">{made.filename}</a><br/></body></html>',
        **{"Cache-Control": "private, no-store"},
    )
    return shape


def folder(url: str, name: str, made: Made) -> Shape:
    """A listing of a folder: sorting links, the parent, and texts that are cut."""
    shape = Shape("/wheels/", hashed=False, requires=None)
    shape.file(f"/wheels/{name}/{made.filename}", made)
    shape.page(
        name,
        f'<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN"><html><head><title>Index of '
        f"/wheels/{name}</title></head><body><h1>Index of /wheels/{name}</h1><pre>"
        '<a href="?C=N;O=D">Name</a> <a href="?C=M;O=A">Last modified</a><hr>'
        '<a href="/wheels/">Parent Directory</a>                 -   \n'
        f'<a href="{made.filename}">{made.filename[:12]}..&gt;</a> 2024-01-01 00:00  1.2K  \n'
        "<hr></pre></body></html>",
    )
    return shape


def based(url: str, name: str, made: Made) -> Shape:
    """A folder whose pages say in ``<base>`` where files are."""
    shape = Shape("/flat/", requires=None)
    shape.file(f"/store/{name}/{made.filename}", made)
    shape.page(
        name,
        f'<html><head><base href="{url}/store/{name}/"></head><body>'
        f'<a href="./{made.filename}#sha256={made.sha256}">{made.filename}</a></body></html>',
    )
    return shape


def nested(url: str, name: str, made: Made) -> Shape:
    """A root below a root, paths from the very top, and the plus of local versions encoded."""
    shape = Shape("/whl/nightly/cpu/", requires=None)
    place = f"/whl/nightly/cpu/{quote(made.filename)}"
    shape.file(place, made)
    shape.page(
        name,
        f"<!DOCTYPE html>\n<html>\n  <body>\n    <h1>Links for {name}</h1>\n"
        f'    <a href="{place}#sha256={made.sha256}">{made.filename}</a><br/>\n'
        "  </body>\n</html>\n<!--TIMESTAMP 1700000000-->\n",
    )
    return shape


SHAPES: dict[str, Make] = {
    made.__name__: made
    for made in (devpi, artifactory, nexus, gitlab, codeartifact, folder, based, nested)
}
