"""Other people's indexes as upstreams: real servers, whatever they write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.factories import Made, make_wheel
from tests.servers import others
from tests.servers.upstream import core_metadata
from tests.upstream.conftest import SOAK, Start
from tests.upstream.sites import fetched, listed


def pypiserver(folder: Path, wheels: Sequence[tuple[str, Made]]) -> AbstractContextManager[str]:
    """pypiserver, which takes the names from the files."""
    return others.pypiserver(folder, [made for _, made in wheels])


SERVERS = {"pypiserver": pypiserver}
if SOAK:  # it takes long to start
    SERVERS["devpi"] = others.devpi


@pytest.mark.parametrize("serve", SERVERS.values(), ids=SERVERS)
def test_another_index_is_an_upstream(
    start: Start,
    tmp_path: Path,
    serve: Callable[[Path, Sequence[tuple[str, Made]]], AbstractContextManager[str]],
) -> None:
    """Its pages are ours with their hashes, its files come whole, core metadata is made."""
    wheels = [(name, make_wheel(name, "1.0")) for name in ("demo", "other-one")]
    folder = tmp_path / "theirs"
    folder.mkdir()
    with serve(folder, wheels) as url:
        site = start(upstream=url)
        for name, made in wheels:
            assert listed(site, name)[made.filename]["hashes"]["sha256"] == made.sha256
            path = f"/files/{name}/{made.filename}"
            assert site.ask("GET", f"{path}.metadata").content == core_metadata(made)
            fetched(site, name, made)
        assert site.ask("GET", "/simple/nobodys/").status_code == 404
    for name, made in wheels:  # it is gone
        assert set(listed(site, name)) == {made.filename}
        fetched(site, name, made)
    assert site.ask("GET", "/simple/unknown/").status_code == 503
