"""What counts as a download, at the door and when it is at hand, by the whole service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.config import Settings
from app.main import create_app
from app.protocol import Protocol
from tests.factories import Made, make_wheel
from tests.routes.site import ADMIN, Site, site
from tests.routes.site import PASSWORD as SECRET
from tests.servers import upstream as upstreams
from tests.servers.s3_small import small_store
from tests.serving import Served, serving_ready
from tests.upstream.sites import fetched
from tests.upstream.sites import site as falling_back

EVERYONE = frozenset({"everyone"})
PIP = 'pip/24.2 {"installer":{"name":"pip","version":"24.2"},"python":"3.12.4"}'
BROWSER = {"Accept": "text/html"}


def told(place: Site, project: str, auth: Any = ADMIN) -> dict[str, Any]:
    """What the API says of a project."""
    answer = place.ask("GET", f"/api/v1/projects/{project}/downloads", auth=auth)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def counted(place: Site, project: str) -> int:
    """How often it was downloaded."""
    total: int = told(place, project)["total"]
    return total


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service that streams its files, with some that everyone may read and one for a friend."""
    folder = tmp_path_factory.mktemp("downloads")
    with site(folder, default_read=EVERYONE) as running:
        for name in ("parts", "tools", "shown", "once"):
            running.publish(name)
        running.publish("secret-plan")
        running.user("friend")
        running.user("stranger")
        path = "/api/v1/projects/secret-plan/grants/user:friend"
        grant = {"permissions": ["read"]}
        running.ask("PUT", path, auth=ADMIN, json=grant).raise_for_status()
        yield running


def path_of(name: str) -> str:
    """Where the wheel of a project is."""
    return f"/files/{name}/{make_wheel(name, '1.0').filename}"


class TestAtTheDoor:
    """Files that the service streams."""

    @pytest.mark.parametrize(
        ("method", "end", "headers", "status", "times"),
        [
            ("GET", "", {}, 200, 1),
            ("HEAD", "", {}, 200, 0),
            ("GET", ".metadata", {}, 200, 0),
            ("GET", "", {"If-None-Match": "*"}, 304, 0),
            ("GET", "", {"Range": "bytes=0-99"}, 206, 1),
            ("GET", "", {"Range": "bytes=0-"}, 206, 1),
            ("GET", "", {"Range": "bytes=100-"}, 206, 0),
            ("GET", "", {"Range": "bytes=-100"}, 206, 0),
            ("GET", "", {"Range": "bytes=9999999-"}, 416, 0),
            ("GET", "", {"Range": "bytes=5-6,8-9"}, 200, 1),
            ("GET", "", {"Range": "bytes=100-", "If-Range": '"another"'}, 200, 1),
        ],
    )
    def test_what_counts(
        self,
        place: Site,
        method: str,
        end: str,
        headers: dict[str, str],
        status: int,
        times: int,
    ) -> None:
        """A whole file, or its beginning; neither a look at it nor the rest of it."""
        before = counted(place, "parts")
        answer = place.ask(method, f"{path_of('parts')}{end}", headers=headers)
        assert answer.status_code == status
        assert counted(place, "parts") == before + times

    def test_the_old_addresses_count_too(self, place: Site) -> None:
        """Where lock files of former times point; a redirect to the right name is none."""
        before = counted(place, "parts")
        old = path_of("parts").replace("/files/", "/api/package/")
        assert place.ask("GET", old).status_code == 200
        assert counted(place, "parts") == before + 1
        moved = place.ask("GET", path_of("parts").replace("/parts/", "/Parts/"))
        assert moved.status_code == 301
        assert place.ask("GET", "/files/parts/parts-9.0-py3-none-any.whl").status_code == 404
        assert counted(place, "parts") == before + 1

    def test_by_whom(self, place: Site) -> None:
        """By version, tool and Python, on this very day."""
        for agent in (PIP, PIP, "uv/0.5.1", "something else"):
            place.ask("GET", path_of("tools"), headers={"User-Agent": agent})
        found = told(place, "tools")
        days = found.pop("days")
        assert found == {
            "total": 4,
            "versions": {"1.0": 4},
            "installers": {"pip": 2, "uv": 1, "other": 1},
            "pythons": {"3.12": 2, "": 2},
        }
        assert len(days) == 90
        assert sum(day["count"] for day in days) == sum(day["count"] for day in days[-2:]) == 4

    def test_a_deleted_project_takes_its_counts_along(self, place: Site) -> None:
        """Whoever has the name next begins at zero; if it is restored, they are back."""
        place.ask("GET", path_of("once"))
        assert counted(place, "once") == 1
        place.ask("DELETE", "/api/v1/projects/once", auth=ADMIN).raise_for_status()
        made = make_wheel("once", "2.0")
        place.upload(made, "once", auth=ADMIN, version="2.0").raise_for_status()
        assert counted(place, "once") == 0
        place.ask("GET", f"/files/once/{made.filename}")
        assert told(place, "once")["versions"] == {"2.0": 1}


class TestRights:
    """Who may see how much."""

    @pytest.mark.parametrize(
        ("auth", "status"),
        [(None, 401), (("stranger", SECRET), 403), (("friend", SECRET), 200), (ADMIN, 200)],
    )
    def test_only_readers_see_a_projects_counts(self, place: Site, auth: Any, status: int) -> None:
        """By the API and on its page."""
        place.ask("GET", path_of("secret-plan"), auth=ADMIN).raise_for_status()
        for path in ("/api/v1/projects/secret-plan/downloads", "/project/secret-plan/"):
            assert place.ask("GET", path, auth=auth).status_code == status

    def test_only_admins_see_which_are_downloaded_most(self, place: Site) -> None:
        """Of all projects, the greatest first."""
        for auth in (None, ("friend", SECRET)):
            assert place.ask("GET", "/api/v1/downloads", auth=auth).status_code in (401, 403)
        for _ in range(50):
            place.ask("GET", path_of("secret-plan"), auth=ADMIN)
        answer = place.ask("GET", "/api/v1/downloads?limit=1", auth=ADMIN)
        (first,) = answer.json()["projects"]
        assert first["project"] == "secret-plan"
        assert first["count"] >= 50

    def test_what_is_not_there(self, place: Site) -> None:
        """A project that nobody knows has no counts."""
        path = "/api/v1/projects/nobodys/downloads"
        assert place.ask("GET", path, auth=ADMIN).status_code == 404


class TestPage:
    """What the page of a project shows."""

    def test_a_chart_and_tables(self, place: Site) -> None:
        """Drawn by the server, with a text for those who do not see it."""
        empty = place.ask("GET", "/project/shown/", headers=BROWSER).text
        assert "No downloads yet." in empty
        assert "<svg" not in empty
        for _ in range(3):
            place.ask("GET", path_of("shown"), headers={"User-Agent": PIP})
        page = place.ask("GET", "/project/shown/", headers=BROWSER)
        assert "3 downloads" in page.text
        (svg,) = re.findall(r"<svg.*?</svg>", page.text, re.DOTALL)
        assert 'role="img"' in svg
        assert 'aria-labelledby="chart-title chart-text"' in svg
        assert "Downloads in the last 90 days" in svg
        assert "at most 3 on a day" in svg
        assert svg.count("<rect") == 1
        assert "style=" not in page.text
        assert "<td>pip</td><td>3</td>" in page.text
        assert "<td>3.12</td><td>3</td>" in page.text
        japanese = place.ask("GET", "/project/shown/?lang=ja", headers=BROWSER).text
        assert "ダウンロード3回" in japanese

    def test_the_same_as_json(self, place: Site) -> None:
        """As every page."""
        place.ask("GET", path_of("shown"))
        headers = {"Accept": "application/json"}
        view = place.ask("GET", "/project/shown/", headers=headers).json()["downloads"]
        assert view["total"] == view["recent"] == counted(place, "shown")
        assert len(view["days"]) == 90
        assert view["versions"]["others"] == 0


class TestSwitchedOff:
    """``PYPICLOUD_DOWNLOADS=false``."""

    def test_nothing_is_counted(self, tmp_path: Path) -> None:
        """Nor written, nor shown; the API says so to whoever might have seen it."""
        packages = tmp_path / "packages"
        with site(
            tmp_path, downloads=False, default_read=EVERYONE, storage=f"file:{packages}"
        ) as place:
            place.publish("demo")
            for _ in range(2):
                assert place.ask("GET", path_of("demo")).status_code == 200
            for path in ("/api/v1/projects/demo/downloads", "/api/v1/downloads"):
                answer = place.ask("GET", path, auth=ADMIN)
                assert answer.status_code == 404
                assert "not counted" in answer.text
            assert "Downloads" not in place.ask("GET", "/project/demo/", headers=BROWSER).text
        assert not (packages / "downloads").exists()


class TestReplicas:
    """Several processes, and the next one."""

    def test_two_services_add_up(self, tmp_path: Path) -> None:
        """What one counted is written when it ends, and the other tells of both."""
        shared = {
            "storage": f"file:{tmp_path}/packages",
            "cache": f"sqlite+aiosqlite:///{tmp_path}/cache.db",
            "default_read": EVERYONE,
        }
        with site(tmp_path, **shared) as one:
            one.publish("demo")
            with site(tmp_path, **shared) as two:
                for _ in range(3):
                    two.ask("GET", path_of("demo")).raise_for_status()
                two.ask("GET", path_of("demo"), headers={"Range": "bytes=0-9"})
            one.ask("GET", path_of("demo")).raise_for_status()
            assert counted(one, "demo") == 5
        with site(tmp_path, **shared) as later:
            assert counted(later, "demo") == 5


class TestUpstreams:
    """Files of other indexes, under their project."""

    @pytest.mark.parametrize("policy", ["cache", "redirect"])
    def test_they_count(self, tmp_path: Path, policy: str) -> None:
        """On their way, kept here, and where clients are sent there."""
        with upstreams.running() as there:
            made = there.has("demo")
            with falling_back(tmp_path, there, policy) as place:
                path = f"/files/demo/{made.filename}"
                if policy == "cache":
                    fetched(place, "demo", made)
                for _ in range(2):
                    assert place.ask("GET", path).status_code in (200, 302)
                place.ask("HEAD", path)
                place.ask("GET", f"{path}.metadata")
                assert counted(place, "demo") == (3 if policy == "cache" else 2)
                most = place.ask("GET", "/api/v1/downloads", auth=ADMIN).json()["projects"]
                assert [one["project"] for one in most] == ["demo"]


class Way:
    """A service in one of three ways, and its wheel."""

    def __init__(self, served: Served, made: Made) -> None:
        self.served, self.made = served, made
        self.path = f"/files/demo/{made.filename}"

    def hits(self) -> float:
        """How many answers were at hand."""
        text = self._ask("/metrics").text
        return float(re.findall(r"(?m)^pypicloud_hot_hits_total(?:\{.*\})? (\S+)$", text)[0])

    def told(self) -> dict[str, Any]:
        """What the API says."""
        found: dict[str, Any] = self._ask("/api/v1/projects/demo/downloads").json()
        return found

    def _ask(self, path: str) -> httpx.Response:
        answer = httpx.get(f"{self.served.url}{path}", auth=ADMIN, trust_env=False)
        return answer.raise_for_status()


@contextmanager
def serving(folder: Path, way: str, **settings: Any) -> Iterator[Way]:
    """Serve a wheel that everyone may read: by our protocol, by ASGI alone, by the doors."""
    protocol: type[HttpToolsProtocol] = HttpToolsProtocol if way == "asgi" else Protocol
    chosen: dict[str, Any] = {
        "cache": "memory:",
        "access": f"sqlite+aiosqlite:///{folder}/access.db",
        "spool": folder / "spool",
        "admin_password": SecretStr(ADMIN[1]),
        "default_read": EVERYONE,
        "inspectors": 1,
        "page_memory": 1 if way == "doors" else 2**28,
        **settings,
    }
    made = make_wheel("demo", "1.0")
    with (
        serving_ready(create_app(Settings(**chosen)), protocol=protocol) as served,
        httpx.Client(timeout=60, trust_env=False) as http,
    ):
        Site(served.url, "", http, folder).upload(made, "demo", auth=ADMIN).raise_for_status()
        yield Way(served, made)


@pytest.mark.parametrize("way", ["ours", "asgi", "doors"])
@pytest.mark.parametrize("delivery", ["redirect", "x-sendfile"])
class TestAtHand:
    """Answers that no door gave."""

    def test_they_count_as_at_the_door(self, tmp_path: Path, way: str, delivery: str) -> None:
        """Each once, by its own User-Agent; HEAD, 304 and other parts not at all."""
        with ExitStack() as stack:
            behind: dict[str, Any] = {"storage": f"file:{tmp_path}/packages"}
            if delivery == "redirect":
                store = stack.enter_context(small_store())
                behind = {"storage": "s3://packages/index", "s3": store.options}
            place = stack.enter_context(serving(tmp_path, way, delivery=delivery, **behind))
            status = 302 if delivery == "redirect" else 200
            before, first = place.hits(), 0
            while way != "doors" and place.hits() == before:
                # Until the upload is old news: what a door says meanwhile may not be kept.
                assert place.served.ask(place.path, "User-Agent: curl/8.5.0").status == status
                first += 1
            before = place.hits()
            for agent in (PIP, "uv/0.5.1", PIP, PIP, "uv/0.5.1"):
                answer = place.served.ask(place.path, f"User-Agent: {agent}")
                assert answer.status == status
            given = place.hits() - before
            # A poll may tell of the upload once more meanwhile: then a door answers again.
            assert (given > 0) == (way != "doors")
            for method, header in (
                ("HEAD", "Accept: */*"),
                ("GET", "If-None-Match: *"),
                ("GET", "Range: bytes=9-"),
                ("GET", "Range: bytes=-9"),
            ):
                for _ in range(2):
                    _answer(place, method, header)
            assert place.served.ask(place.path, "Range: bytes=0-9").status == status
            found = place.told()
            assert found["total"] == 6 + first
            warmed = {"curl": first} if first else {}
            assert found["installers"] == {"pip": 3, "uv": 2, "other": 1, **warmed}


def _answer(place: Way, method: str, header: str) -> None:
    """Ask, and read no more than the head of the answer: HEAD has nothing else."""
    lines = f"{method} {place.path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n"
    with place.served.connection() as connected:
        connected.sendall(lines.encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += connected.recv(65536)
    assert re.match(rb"HTTP/1\.1 (?:200|302|304) ", received), received[:100]
