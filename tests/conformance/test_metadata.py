"""Core metadata beside the files (standards: 3, MET and PRV rows)."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from tests.conformance.site import ADMIN, Site
from tests.factories import Made, make_sdist, make_wheel, metadata
from tests.hostile.wheels import FILENAME, METADATA, wheel


def test_met_1_met_2_met_3_of_wheels(site: Site) -> None:
    """What the page advertises is there, the very bytes of METADATA, with that hash."""
    made = site.release("met-1", description="caf\u00e9\n" * 500, requires_python=">=3.8")
    archive = zipfile.ZipFile(io.BytesIO(made.content))
    inside = archive.read("met_1-1.0.dist-info/METADATA")
    answer = site.get(f"{site.location('met-1')}.metadata")
    assert answer.body == inside
    assert site.file("met-1")["core-metadata"] == {"sha256": hashlib.sha256(inside).hexdigest()}
    assert answer.header("content-length") == str(len(inside))


def test_met_2_from_the_wheels_own_dist_info(site: Site) -> None:
    """A vendored dist-info deeper down is not taken for the wheel's."""
    content = wheel({"evil/vendor/tomli-1.0.dist-info/METADATA": b"Name: tomli\n"})
    made = Made(FILENAME, content)
    site.publish(made, "evil", fields={"metadata_version": "2.1"})
    assert site.get(f"{site.location('evil', FILENAME)}.metadata").body == METADATA


@pytest.mark.parametrize("version", ["2.2", "2.3", "2.4", "2.5", "2.6"])
def test_met_4_met_5_of_static_sdists(site: Site, version: str) -> None:
    """An sdist that cannot change at build offers its PKG-INFO; with any Dynamic it does not."""
    name = f"met-4-{version.replace('.', '-')}"
    for number, (headers, offered) in enumerate(
        [((), True), ((("Dynamic", "Classifier"),), False), ((("Dynamic", "keywords"),), False)]
    ):
        release = f"{number}.0"
        core = metadata(name, release, metadata_version=version, headers=headers)
        made = make_sdist(name, release, core=core)
        site.publish(made, name, release, fields={"metadata_version": version})
        listed = site.file(name, made.filename)
        answer = site.get(f"{site.location(name, made.filename)}.metadata")
        assert bool(listed.get("core-metadata")) == offered
        assert answer.status == (200 if offered else 404)
        if offered:
            with tarfile.open(fileobj=io.BytesIO(made.content)) as archive:
                member = archive.extractfile(f"{made.filename.removesuffix('.tar.gz')}/PKG-INFO")
                assert member is not None
                assert answer.body == member.read() == core


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "2.1"])
def test_met_4_met_6_of_older_sdists(site: Site, version: str) -> None:
    """Before 2.2 nothing says that an sdist is static: not advertised, and 404."""
    name = f"met-6-{version.replace('.', '-')}"
    made = make_sdist(name, core=metadata(name, "1.0", metadata_version=version))
    site.publish(made, name, fields={"metadata_version": version})
    assert not site.file(name).get("core-metadata")
    for method in ("GET", "HEAD"):
        assert site.ask(method, f"{site.location(name)}.metadata").status == 404


def test_met_6_of_metadata_there_is_none(site: Site) -> None:
    """``.metadata`` of ``.metadata`` is nothing."""
    site.release("met-6")
    assert site.get(f"{site.location('met-6')}.metadata.metadata").status == 404


def test_met_7_ready_when_listed(site: Site) -> None:
    """Whoever sees a file on the page gets its bytes and metadata, while others upload."""
    wheels = [make_wheel("met-7", f"1.{number}") for number in range(20)]
    site.publish(wheels[0], "met-7", "1.0")
    failed: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            page = site.page("met-7")
            for file in page.json()["files"]:
                url = page.resolve(file["url"])
                core = site.get(f"{url}.metadata")
                digest = hashlib.sha256(core.body).hexdigest()
                if core.status != 200 or {"sha256": digest} != file["core-metadata"]:
                    failed.append(url)
                if hashlib.sha256(site.get(url).body).hexdigest() != file["hashes"]["sha256"]:
                    failed.append(url)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number, made in enumerate(wheels):
            site.publish(made, "met-7", f"1.{number}")
            assert site.file("met-7", made.filename)
    finally:
        done.set()
        reader.join()
    assert not failed


def test_met_1_conditional_and_partial(site: Site) -> None:
    """Metadata has an ETag of its own, 304, and parts like a file."""
    site.release("met-9")
    url = site.location("met-9")
    answer = site.get(f"{url}.metadata")
    tag = answer.header("etag") or ""
    assert tag != site.get(url).header("etag")
    assert site.get(f"{url}.metadata", {"If-None-Match": tag}).status == 304
    part = site.get(f"{url}.metadata", {"Range": "bytes=0-7"})
    assert (part.status, part.body) == (206, answer.body[:8])


def test_prv_2_prv_3_no_provenance(site: Site) -> None:
    """No provenance is shown, attestations or not: nothing here verifies any."""
    made = make_wheel("prv-2")
    attested = site.upload(made, "prv-2", auth=ADMIN, fields={"attestations": '[{"version": 1}]'})
    assert attested.status in (200, 400)
    site.publish(made, "prv-2")
    assert site.file("prv-2").get("provenance") is None
    answer = site.get(f"/integrity/prv-2/1.0/{made.filename}/provenance")
    assert (answer.status, "message" in answer.json()) == (404, True)


def test_fil_1_the_bytes_in_the_storage(site: Site) -> None:
    """What is in the storage is what was sent, once."""
    made = site.release("met-10")
    found = [path for path in (site.state / "packages").rglob(made.filename) if path.is_file()]
    assert [Path(path).read_bytes() for path in found] == [made.content]
