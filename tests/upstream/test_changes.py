"""What an upstream changes, takes away and brings back: the bytes that were first seen stay."""

from __future__ import annotations

import io
import time
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from packaging.utils import NormalizedName

from app.models import Kind
from app.upstream import pages
from app.upstream.entries import VERSION, Entry, Record
from tests.factories import Made, make_wheel
from tests.routes.site import Site
from tests.servers.upstream import Sent, Upstream, core_metadata
from tests.upstream.sites import AGAIN, JSON, fetched, listed, trail

NOW = datetime(2026, 11, 1, tzinfo=UTC)
FIRST, SECOND = {"sha256": "1" * 64}, {"sha256": "2" * 64}


def file(number: int = 1, hashes: dict[str, str] = FIRST, **more: Any) -> Entry:
    """A file of a page."""
    filename = f"demo-{number}.0.tar.gz"
    said: dict[str, Any] = {"url": f"https://upstream.example/{filename}", "hashes": hashes, **more}
    return Entry(filename=filename, version=f"{number}.0", kind=Kind.SDIST, **said)


def said(*entries: Entry) -> Record:
    """A page that has these."""
    return Record(
        v=VERSION, upstream="upstream", name=NormalizedName("demo"), asked=NOW, fresh_for=0.0,
        entries=entries, absent=not entries,
    )  # fmt: skip


def after(*records: Record) -> Record:
    """What is known when these were said one after the other, two minutes between them."""
    known, now = records[0], NOW
    for new in records[1:]:
        now += timedelta(minutes=2)
        known = pages.merged(known, new, now)
    return known


def test_a_file_that_comes_back_with_other_bytes_has_changed() -> None:
    """However long it was gone, and the whole project with it."""
    for between in (said(file(2)), said()):
        gone = after(said(file(), file(2)), between, between)
        assert gone.find("demo-1.0.tar.gz") is None
        back = after(gone, said(file(1, SECOND), file(2)))
        assert back.changed == ("demo-1.0.tar.gz",)
        assert {dict(entry.hashes)["sha256"] for entry in back.entries} == {FIRST["sha256"]}
        assert back.gone == ()
        assert after(back, said(file(1, SECOND), file(2))).changed == back.changed


def test_a_file_that_comes_back_as_it_was_is_no_change() -> None:
    """And what had no hash before is not known to have been another."""
    for first, back in ((file(), file()), (file(1, {}), file(1, SECOND))):
        known = after(said(first, file(2)), said(file(2)), said(file(2)), said(back, file(2)))
        assert (known.changed, known.gone) == ((), ())
        assert known.find(back.filename) == back


def test_what_is_gone_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last ones that went."""
    monkeypatch.setattr(pages, "GONE", 2)
    one, *_ = files = [file(number) for number in range(1, 5)]
    gone = after(said(*files), said(one), said(one))
    assert [entry.filename for entry in gone.gone] == ["demo-3.0.tar.gz", "demo-4.0.tar.gz"]


def test_core_metadata_that_changes_is_not_believed() -> None:
    """The bytes of a file are the same, so it cannot; what nobody had said may come."""
    known = after(said(file(core_metadata=FIRST)), said(file(core_metadata=SECOND)))
    assert known.changed == ("demo-1.0.tar.gz",)
    assert known.entries[0].core_metadata == FIRST
    for more in (FIRST, {}, None):
        known = after(said(file(core_metadata=more)), said(file(core_metadata=FIRST)))
        assert (known.changed, known.entries[0].core_metadata) == ((), FIRST)


def test_a_file_does_not_age_over_night() -> None:
    """What is too new does not come of age by another time; a time that was to come is no time."""
    new, old, later = NOW, NOW - timedelta(days=900), NOW + timedelta(days=900)
    for first, then, believed in (
        (new, old, new), (new, None, None), (None, old, old), (old, new, new), (later, old, old),
    ):  # fmt: skip
        known = after(said(file(upload_time=first)), said(file(upload_time=then)))
        assert known.entries[0].upload_time == believed
    gone = after(said(file(upload_time=new), file(2)), said(file(2)), said(file(2)))
    back = after(gone, said(file(upload_time=old))).find("demo-1.0.tar.gz")
    assert back is not None
    assert back.upload_time == new


def test_a_file_is_deleted_upstream_and_made_anew(
    upstream: Upstream, standing: Site, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes over a name there gets no other bytes in here; the audit trail tells of it."""
    monkeypatch.setattr(pages, "CONFIRMED", timedelta(seconds=0.1))
    upstream.headers = {"Cache-Control": "max-age=0"}
    made = upstream.has(name)
    listed(standing, name)
    fetched(standing, name, made)
    del upstream.projects[name]
    upstream.has(name, "2.0")
    for _ in range(8):
        time.sleep(AGAIN)
        if made.filename not in listed(standing, name):
            break
    assert made.filename not in listed(standing, name)
    assert trail(standing, "upstream.shrink", name)
    other = upstream.has(name, made=make_wheel(name, "1.0", summary="a stranger's"))
    assert other.filename == made.filename
    for _ in range(8):
        time.sleep(AGAIN)
        if made.filename in (now := listed(standing, name)):
            break
    assert now[made.filename]["hashes"]["sha256"] == made.sha256
    fetched(standing, name, made)
    told = trail(standing, "upstream.hash_change", name)
    assert f"upstream: {name}/{made.filename}" in {one.target for one in told}


@pytest.mark.parametrize("right", [True, False])
def test_core_metadata_that_an_upstream_only_offers_is_made(
    upstream: Upstream, standing: Site, big: Made, name: str, right: bool
) -> None:
    """As by mirrors that copy pages alone; where its hash is that of the page, for no wheel."""
    upstream.metadata = True
    more: dict[str, Any] = {} if right else {"core-metadata": {"sha256": "0" * 64}}
    upstream.has(name, made=big, **more)
    upstream.fault = lambda asked, sent: Sent(404) if asked.path.endswith(".metadata") else sent
    answer = standing.ask("GET", f"/files/{name}/{big.filename}.metadata")
    assert answer.status_code == (200 if right else 503)
    assert not right or answer.content == core_metadata(big)
    whole = [one for one in upstream.asked if one.path.endswith(".whl")]
    assert all("range" in one.headers for one in whole)


@pytest.mark.parametrize(
    ("folders", "right"),
    [
        (("{name}-1.0", "vendored-9.0"), True),
        (("{NAME}-1.0",), True),
        (("vendored-9.0",), False),
        (("{name}-1.0", "{NAME}-1.0"), False),
        (("{name}-1.0/{name}-1.0",), False),
    ],
)
def test_core_metadata_is_that_of_the_project(
    upstream: Upstream, standing: Site, name: str, folders: tuple[str, ...], right: bool
) -> None:
    """Whatever else lies in the wheel, and however its folder spells the name."""
    name = f"{name}-part"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for folder in folders:
            place = folder.format(name=name, NAME=name.upper())
            archive.writestr(f"{place}.dist-info/METADATA", f"Name: {place}\n")
    made = upstream.has(
        name, made=Made(f"{name.replace('-', '_')}-1.0-py3-none-any.whl", content.getvalue())
    )
    answer = standing.ask("GET", f"/files/{name}/{made.filename}.metadata")
    assert answer.status_code == (200 if right else 503)
    assert not right or answer.text.lower() == f"name: {name}-1.0\n"


def test_core_metadata_of_a_url_with_a_query_is_beside_the_file(
    upstream: Upstream, standing: Site, name: str
) -> None:
    """What follows the path says how to ask, not for what."""
    upstream.metadata = True
    made = make_wheel(name, "1.0")
    upstream.has(name, made=made, url=f"../../files/{name}/{made.filename}?key=a.b")

    def keyed(asked: object, sent: Sent) -> Sent:
        path = getattr(asked, "path", "")
        if path == f"/files/{name}/{made.filename}.metadata?key=a.b":
            return Sent(body=core_metadata(made))
        return sent

    upstream.fault = keyed
    answer = standing.ask("GET", f"/files/{name}/{made.filename}.metadata")
    assert (answer.status_code, answer.content) == (200, core_metadata(made))


def test_one_odd_size_takes_no_page_away(upstream: Upstream, standing: Site, name: str) -> None:
    """Installers refuse a whole page for a number that they cannot hold."""
    made = upstream.has(name)
    for number, size in enumerate((10**30, 2**64, 2**53 + 1), 2):
        upstream.has(name, f"{number}.0", size=size)
    answer = standing.ask("GET", f"/simple/{name}/", headers=JSON)
    assert [one["filename"] for one in answer.json()["files"]] == [made.filename]
