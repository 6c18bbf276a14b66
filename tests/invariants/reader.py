"""A reader who believes nothing: whatever a page lists is fetched and compared."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from typing import Any

import httpx

from tests.invariants.server import JSON, Server, files_of


class Reader(threading.Thread):
    """Reads projects until told to stop, while the server comes and goes.

    A file that was listed once must stay listed, unless it is in ``leaving``. What is wrong
    is kept in ``wrongs``; ``looks`` is how many pages were read; ``pause`` is in seconds.
    """

    def __init__(self, server: Server, seed: int, *, pause: float) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._random = random.Random(seed)
        self._pause = pause
        self._over = threading.Event()
        self._projects: list[str] = []
        self._seen: dict[str, set[str]] = {}
        self.leaving: set[str] = set()
        self.wrongs: list[str] = []
        self.looks = 0

    def follow(self, project: str) -> None:
        """Read this project too, and most often."""
        if project not in self._projects:
            self._projects = [*self._projects, project]

    def finish(self) -> None:
        """Stop reading; fails with what was wrong."""
        self._over.set()
        self.join(timeout=60)
        assert not self.is_alive(), "the reader does not end"
        assert not self.wrongs, self.wrongs
        assert self.looks, "nothing was read"

    def run(self) -> None:
        """Look until told to stop."""
        with httpx.Client(base_url=self._server.url, trust_env=False, timeout=30) as client:
            while not self._over.is_set() and not self.wrongs:
                try:
                    for project in self._chosen():
                        self._look(client, project)
                except httpx.TransportError:
                    pass  # it was killed
                except Exception as error:
                    self.wrongs.append(repr(error))
                time.sleep(self._pause)

    def wrong(self, client: httpx.Client, file: dict[str, Any]) -> str | None:
        """What is wrong with a file that a page listed."""
        return dangling(client, file)

    def _chosen(self) -> list[str]:
        """The newest, and one of the others."""
        known = self._projects
        return known if len(known) < 2 else [known[-1], self._random.choice(known[:-1])]

    def _look(self, client: httpx.Client, project: str) -> None:
        files = self._page(client, project)
        seen = self._seen.setdefault(project, set())
        if lost := seen - set(files) - self.leaving:
            self.wrongs.append(f"{project} no longer lists {sorted(lost)}")
        fresh = [name for name in files if name not in seen]
        old = [name for name in files if name in seen]
        for name in fresh + self._random.sample(old, min(1, len(old))):
            self._fetch(client, project, files[name])
        seen |= set(files)
        self.looks += 1

    def _page(self, client: httpx.Client, project: str) -> dict[str, dict[str, Any]]:
        response = client.get(f"/simple/{project}/", headers={"Accept": JSON})
        if response.status_code == 404:
            return {}
        assert response.status_code == 200, (project, response.status_code, response.text)
        return files_of(response)

    def _fetch(self, client: httpx.Client, project: str, file: dict[str, Any]) -> None:
        if not (wrong := self.wrong(client, file)):
            return
        # Of a file deleted since the page was read nothing can be said.
        if file["filename"] in self._page(client, project):
            self.wrongs.append(f"{project}/{file['filename']}: {wrong}")


def dangling(client: httpx.Client, file: dict[str, Any]) -> str | None:
    """What is wrong with a file as a page lists it: its bytes, its size, its metadata."""
    answer = client.get(file["url"], follow_redirects=True)
    if answer.status_code != 200:
        return f"listed, but answered {answer.status_code}"
    if hashlib.sha256(answer.content).hexdigest() != file["hashes"]["sha256"]:
        return "listed with another sha256"
    if len(answer.content) != file["size"]:
        return "listed with another size"
    answer = client.get(f"{file['url']}.metadata")
    if answer.status_code != 200:
        return f"core metadata listed, but answered {answer.status_code}"
    if hashlib.sha256(answer.content).hexdigest() != file["core-metadata"]["sha256"]:
        return "core metadata listed with another sha256"
    return None
