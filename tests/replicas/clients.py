"""Clients that try again, and readers who believe nothing, while the fleet is being killed."""

from __future__ import annotations

import hashlib
import random
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from tests.factories import Made, form, make_wheel
from tests.invariants.server import AUTH, JSON
from tests.replicas import model
from tests.replicas.fleet import PATIENCE, Fleet, page_of, shown
from tests.replicas.model import Deed, Model

PROJECTS = ("alpha", "beta", "gamma", "delta")
RACES = "race"
"""The project in which several clients have other bytes for the same filename."""
LATER = frozenset({502, 503, 504})
"""What "try again" looks like; the first and the last can only come from the proxy."""

Ask = Callable[[httpx.Client, str], httpx.Response]


def client() -> httpx.Client:
    """With connections of its own."""
    return httpx.Client(trust_env=False, verify=False, timeout=60)


@dataclass(slots=True)
class Ledger:
    """What all of them saw. ``wrongs`` is to stay empty."""

    model: Model = field(default_factory=Model)
    wrongs: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    races: dict[str, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))
    """The sha256 and the status of every answer, by filename."""
    over: threading.Event = field(default_factory=threading.Event)

    def wrong(self, what: str) -> None:
        """Somebody saw what cannot be."""
        self.wrongs.append(f"{what} (at {time.monotonic():.2f})")


class Actor(threading.Thread):
    """Does one thing after another until it is over, or anything was wrong."""

    def __init__(self, fleet: Fleet, ledger: Ledger, seed: int) -> None:
        super().__init__(daemon=True)
        self.fleet, self.ledger = fleet, ledger
        self.chance = random.Random(seed)
        self.http = client()

    def run(self) -> None:
        with self.http:
            while not self.ledger.over.is_set() and not self.ledger.wrongs:
                try:
                    self.act()
                except Exception:
                    self.ledger.wrong(traceback.format_exc())

    def act(self) -> None:
        """The next thing."""
        raise NotImplementedError

    def entrance(self) -> str:
        """The proxy more often than a replica by itself."""
        urls = self.fleet.entrances
        return self.chance.choice([urls[0], urls[0], *urls])

    def judged(self, answer: httpx.Response, url: str) -> int:
        """Its status; a 5xx that no service in trouble gives is wrong."""
        self.ledger.answers[f"{answer.request.method} {answer.status_code}"] += 1
        allowed = LATER if url == self.fleet.front else {503}
        if answer.status_code >= 500 and answer.status_code not in allowed:
            self.ledger.wrong(f"{answer.request.url}: {answer.status_code} {answer.text}")
        return answer.status_code


class Writer(Actor):
    """Changes files that nobody else changes, and reads each change where it was answered."""

    def __init__(self, fleet: Fleet, ledger: Ledger, seed: int, number: int) -> None:
        super().__init__(fleet, ledger, seed)
        self._number = number
        self._files: list[tuple[str, Made]] = []
        self._made = 0

    def act(self) -> None:
        chosen = self.chance.random()
        if len(self._files) < 3 or chosen < 0.3:
            self._upload_new()
        elif chosen < 0.38:
            self._race()
        else:
            project, made = self.chance.choice(self._files)
            self._change(project, made)
        time.sleep(self.chance.uniform(0, 0.1))

    def _upload_new(self) -> None:
        project = self.chance.choice(PROJECTS)
        made = self._wheel(project, f"{self._number}.{self._made}", "ours")
        self._made += 1
        self._files.append((project, made))
        self._upload(project, made)

    def _wheel(self, project: str, version: str, mark: str) -> Made:
        return make_wheel(project, version, files={"m.py": f"# {mark}".encode()})

    def _upload(self, project: str, made: Made) -> None:
        self._do(project, made.filename, model.upload(made.sha256), sending(project, made))

    def _race(self) -> None:
        """About the same time as others, and with other bytes."""
        version = f"1.{int(time.monotonic() / 2)}"
        made = self._wheel(RACES, version, str(self._number))
        ask = sending(RACES, made)
        status = self._until_answered(ask)
        self.ledger.races[made.filename].append((made.sha256, status))
        if status not in (200, 400):
            self.ledger.wrong(f"{made.filename}: an upload was answered {status}")

    def _change(self, project: str, made: Made) -> None:
        files = f"/api/v1/projects/{project}/files/{made.filename}"
        reason = f"reason {self.chance.randrange(10**6)}"
        match self.chance.choice(["same", "other", "yank", "yank", "unyank", "delete", "restore"]):
            case "same":
                self._upload(project, made)
            case "other":
                version = made.filename.split("-")[1]
                self._upload(project, self._wheel(project, version, "other"))
            case "yank":
                self._do(
                    *(project, made.filename, model.yank(reason)),
                    managing("PATCH", files, {"yanked": reason}),
                )
            case "unyank":
                self._do(
                    *(project, made.filename, model.yank(None)),
                    managing("PATCH", files, {"yanked": False}),
                )
            case "delete":
                self._do(project, made.filename, model.delete, managing("DELETE", files))
            case _:
                path = f"{files}/restore"
                self._do(project, made.filename, model.restore, managing("POST", path))

    def _do(self, project: str, filename: str, deed: Deed, ask: Ask) -> None:
        """Ask until there is an answer; now and then give up before, and leave it open."""
        deadline = time.monotonic() + PATIENCE
        while not self.ledger.wrongs:
            url = self.entrance()
            file = (project, filename, deed)
            once = url != self.fleet.front
            before = self.ledger.model.sent(*file, time.monotonic(), once=once)
            status = self._asked(ask, url)
            now = time.monotonic()
            if wrong := self.ledger.model.answered(*file, status, now, before):
                self.ledger.wrong(f"{url}: {wrong}")
            if status and status < 500:
                if status < 300 and url != self.fleet.front:
                    self._read_own(url, project, filename)
                return
            if self.chance.random() < 0.1 and not self.ledger.over.is_set():
                return
            if now > deadline:
                self.ledger.wrong(f"{project}/{filename}: no answer within {PATIENCE} s")
            time.sleep(self.chance.uniform(0.05, 0.3))

    def _until_answered(self, ask: Ask) -> int:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            status = self._asked(ask, self.entrance())
            if status and status < 500:
                return status
            time.sleep(self.chance.uniform(0.05, 0.3))
        return 0

    def _asked(self, ask: Ask, url: str) -> int:
        try:
            answer = ask(self.http, url)
        except httpx.TransportError:
            self.ledger.answers["no answer"] += 1
            return 0
        return self.judged(answer, url)

    def _read_own(self, url: str, project: str, filename: str) -> None:
        """The replica that answered a write shows it at once."""
        if self.fleet.workers > 1:
            return  # the other worker answers as another machine would
        begin = time.monotonic()
        try:
            page = page_of(self.http, url, project)
        except httpx.TransportError:
            return
        if self.judged(page, url) == 503:
            return
        files = shown(page) if page.status_code == 200 else {}
        end = time.monotonic()
        if wrong := self.ledger.model.wrong_page(project, files, begin, end, of=[filename]):
            self.ledger.wrong(f"at once, at {url}: {wrong}")


class Reader(Actor):
    """Reads pages, the root and files at any entrance; what it sees must be possible."""

    def act(self) -> None:
        url = self.entrance()
        try:
            match self.chance.choice(["page", "page", "page", "root", "file"]):
                case "page":
                    self._page(url, self.chance.choice(PROJECTS))
                case "root":
                    self._root(url)
                case _:
                    self._file(url, self.chance.choice(PROJECTS))
        except httpx.TransportError:
            self.ledger.answers["no answer"] += 1
        time.sleep(0.05)

    def _page(self, url: str, project: str) -> None:
        begin = time.monotonic()
        oldest = self.fleet.oldest(begin)
        there = project in self.ledger.model.surely_there(oldest)
        answer = page_of(self.http, url, project)
        end = time.monotonic()
        match self.judged(answer, url):
            case 200:
                wrong = self.ledger.model.wrong_page(project, shown(answer), oldest, end)
                if wrong:
                    self.ledger.wrong(f"{url}, asked at {begin:.2f}: {wrong}")
            case 404 if there:
                self.ledger.wrong(f"{url} says that there is no {project}")
            case 404 | 502 | 503 | 504:
                pass
            case status:
                self.ledger.wrong(f"{url}: the page of {project} was answered {status}")

    def _root(self, url: str) -> None:
        there = self.ledger.model.surely_there(self.fleet.oldest(time.monotonic()))
        answer = self.http.get(f"{url}/simple/", headers={"Accept": JSON})
        if self.judged(answer, url) in LATER:
            return
        names = {project["name"] for project in answer.json()["projects"]}
        if missing := there - names:
            self.ledger.wrong(f"the root at {url} lacks {missing}, and has {names}")

    def _file(self, url: str, project: str) -> None:
        """A file that a page lists, there or at another entrance, has the bytes it says."""
        page = page_of(self.http, url, project)
        if self.judged(page, url) != 200 or not (files := page.json()["files"]):
            return
        file = self.chance.choice(files)
        begin = time.monotonic()
        where = self.entrance()
        link = str(page.url.join(file["url"])).replace(url, where)
        answer = self.http.get(link, follow_redirects=True)
        if self.judged(answer, where) in LATER:
            return
        if answer.status_code == 404:
            times = self.fleet.oldest(begin), time.monotonic()
            if self.ledger.model.surely_listed(project, file["filename"], *times):
                self.ledger.wrong(f"{link} is listed at {url}, and not found")
        elif hashlib.sha256(answer.content).hexdigest() != file["hashes"]["sha256"]:
            self.ledger.wrong(f"{link} was answered {answer.status_code}, other bytes than listed")


def sending(project: str, made: Made) -> Ask:
    """An upload as twine sends it."""
    fields = form(made, project, made.filename.split("-")[1])

    def ask(http: httpx.Client, url: str) -> httpx.Response:
        content = {"content": (made.filename, made.content)}
        return http.post(f"{url}/legacy/", data=fields, files=content, auth=AUTH)

    return ask


def managing(method: str, path: str, body: object = None) -> Ask:
    """A request by the admin."""

    def ask(http: httpx.Client, url: str) -> httpx.Response:
        return http.request(method, f"{url}{path}", json=body, auth=AUTH)

    return ask
