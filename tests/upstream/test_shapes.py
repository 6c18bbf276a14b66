"""What other people's servers write is understood: every shape, through one service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.factories import Made, make_wheel
from tests.routes.site import Site
from tests.servers import upstream as upstreams
from tests.servers.upstream import Upstream, core_metadata
from tests.upstream.shapes import SHAPES, Shape
from tests.upstream.sites import listed, site

Served = tuple[Site, dict[str, tuple[Shape, Made, Upstream]]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with one upstream of each shape, each of which has one project."""
    folder: Path = tmp_path_factory.mktemp("shapes")
    found: dict[str, tuple[Shape, Made, Upstream]] = {}
    with ExitStack() as stack:
        options = []
        for kind, make in SHAPES.items():
            upstream = stack.enter_context(upstreams.running())
            name = f"{kind}-demo"
            made = make_wheel(name, "1.0+cpu.2" if kind == "nested" else "1.0")
            shape = make(upstream.url, name, made)
            upstream.fault = lambda asked, sent, shape=shape: shape.answer(asked)
            found[name] = shape, made, upstream
            options.append(
                {"name": kind, "url": f"{upstream.url}{shape.root}", "allow": (f"{kind}-*",)}
            )
        first = found["devpi-demo"][2]
        yield (
            stack.enter_context(site(folder, first, "none", upstream="", upstreams=tuple(options))),
            found,
        )


@pytest.mark.parametrize("kind", SHAPES)
def test_the_pages_of_another_server_are_understood(served: Served, kind: str) -> None:
    """Its files are on our page with what it says of them, and come with their core metadata."""
    site, shapes = served
    name = f"{kind}-demo"
    shape, made, upstream = shapes[name]
    (file,) = listed(site, name).values()
    assert file["filename"] == made.filename
    assert file["hashes"].get("sha256") == (made.sha256 if shape.hashed else None)
    assert file.get("requires-python") == shape.requires
    path = f"/files/{name}/{quote(made.filename)}"
    assert file["url"] == f"../..{path}"
    assert site.ask("GET", f"{path}.metadata").content == core_metadata(made)
    for _ in range(2):
        assert site.ask("GET", path).content == made.content
    assert len([asked for asked in upstream.asked if asked.path.endswith(".whl")]) <= 2


@pytest.mark.parametrize("kind", SHAPES)
def test_a_project_that_another_server_lacks_is_not_found(served: Served, kind: str) -> None:
    """404, where it says 404 to the page of a project of that name."""
    site, shapes = served
    assert site.ask("GET", f"/simple/{kind}-nobodys/").status_code == 404
    shape, _, upstream = shapes[f"{kind}-demo"]
    assert upstream.paths("nobodys") == [f"{shape.root}{kind}-nobodys/"]
