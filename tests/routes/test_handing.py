"""Files that nginx sends from the folder, on our word (``x-accel-redirect``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from app.config import Settings
from tests.factories import Made
from tests.routes.site import Site, site
from tests.servers.fronts import start_sending
from tests.servers.running import own

pytestmark = pytest.mark.slow
EVERYONE = frozenset({"everyone"})


@dataclass(frozen=True, slots=True)
class Front:
    """nginx, the service behind it, the folder of both, and a wheel that is there."""

    url: str
    behind: Site
    stored: Path
    made: Made

    @property
    def file(self) -> str:
        """The path of the wheel."""
        return f"/files/demo/{self.made.filename}"

    def get(self, path: str, *, method: str = "GET", **headers: str) -> httpx.Response:
        """What nginx answers, which is the same when the service knows its answer by heart."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        first, again = (
            httpx.request(method, f"{self.url}{path}", headers=sent, trust_env=False, timeout=30)
            for _ in range(2)
        )
        assert (first.status_code, first.content) == (again.status_code, again.content)
        return again


def serving(folder: Path, delivery: str, read: frozenset[str]) -> tuple[Path, dict[str, object]]:
    """The folder of the files, and the settings of a service that has them sent."""
    stored = folder / "packages"
    return stored, {"storage": f"file:{stored}", "delivery": delivery, "default_read": read}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """An index in a folder, with a file, behind nginx."""
    folder = tmp_path_factory.mktemp("handing")
    stored, settings = serving(folder, "x-accel-redirect", EVERYONE)
    (folder / "nginx").mkdir()
    with site(folder, **settings) as running:
        made = running.publish("demo")
        port = int(running.url.rpartition(":")[2])
        with own(lambda where: start_sending(where, port, stored), folder / "nginx") as nginx:
            yield Front(f"http://127.0.0.1:{nginx.ports['http']}", running, stored, made)


def test_nginx_sends_the_bytes(front: Front) -> None:
    """The service's own answer is empty; nginx's is the file, with our caching."""
    own_answer = front.behind.ask("GET", front.file)
    assert (own_answer.status_code, own_answer.content) == (200, b"")
    named = unquote(own_answer.headers["x-accel-redirect"]).removeprefix("/_stored/")
    assert (front.stored / named).read_bytes() == front.made.content
    answer = front.get(front.file)
    assert (answer.status_code, answer.content) == (200, front.made.content)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == own_answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "x-accel-redirect" not in answer.headers


def test_fil_5_nginx_sends_parts(front: Front) -> None:
    """A range is nginx's to cut."""
    answer = front.get(front.file, Range="bytes=5-9")
    assert (answer.status_code, answer.content) == (206, front.made.content[5:10])
    assert answer.headers["content-range"] == f"bytes 5-9/{len(front.made.content)}"


def test_the_rest_is_ours(front: Front) -> None:
    """HEAD, 304, core metadata and what is not there are answered without a file."""
    head = front.get(front.file, method="HEAD")
    assert head.headers["content-length"] == str(len(front.made.content))
    tag = head.headers["etag"]
    assert front.get(front.file, If_None_Match=tag).status_code == 304
    assert front.get(f"{front.file}.metadata").text.startswith("Metadata-Version:")
    assert front.get("/files/demo/demo-9.9-py3-none-any.whl").status_code == 404


def test_nobody_reaches_the_folder_past_us(front: Front) -> None:
    """The place where nginx has the files is for the service alone."""
    named = front.behind.ask("GET", front.file).headers["x-accel-redirect"]
    assert front.get(named).status_code == 404


@pytest.mark.parametrize("delivery", ["x-accel-redirect", "x-sendfile"])
def test_t2_who_may_not_read_is_told_no_file(tmp_path: Path, delivery: str) -> None:
    """Rights are looked at before, also once the answer is known by heart."""
    stored, settings = serving(tmp_path, delivery, frozenset())
    with site(tmp_path, **settings) as running:
        made = running.publish("demo")
        path = f"/files/demo/{made.filename}"
        for _ in range(2):
            refused = running.ask("GET", path)
            assert refused.status_code == 401
            assert delivery[2:] not in str(refused.headers)
            allowed = running.ask("GET", path, auth=("admin", "correct horse battery"))
            assert (allowed.status_code, allowed.content) == (200, b"")
            assert "private" in allowed.headers["cache-control"]
        if delivery == "x-sendfile":
            assert Path(unquote(allowed.headers["x-sendfile"])).read_bytes() == made.content
            assert stored in Path(allowed.headers["x-sendfile"]).parents


@pytest.mark.parametrize("storage", ["memory:", "s3://bucket/prefix"])
def test_only_a_folder_can_be_sent_from(storage: str) -> None:
    """Another storage is a slip that stops the start."""
    with pytest.raises(ValueError, match="DELIVERY=x-sendfile needs files on a disk"):
        Settings(storage=storage, delivery="x-sendfile")
