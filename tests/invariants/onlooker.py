"""Looks at the root and at pages fifty times a second: nothing that was there may go."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence

import httpx

from tests.invariants.server import JSON, Server

PAUSE = 0.02


class Onlooker(threading.Thread):
    """Follows one server; ``wrongs`` is what it saw that may not be.

    A server may say that it is not ready, or be gone; it may not answer by less.
    """

    def __init__(self, server: Server, projects: Sequence[str], seed: int) -> None:
        super().__init__(daemon=True)
        self._url = server.url
        self._projects = projects
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._files: dict[str, set[str]] = {}
        self.wrongs: list[str] = []
        self.answers = 0
        self.refusals = 0

    def finish(self) -> None:
        """Stop looking; fails with what was wrong."""
        self._over.set()
        self.join(timeout=60)
        assert not self.is_alive(), "the onlooker does not end"
        assert not self.wrongs, self.wrongs[:5]
        assert self.answers, "nothing was seen"

    def run(self) -> None:
        """Look until told to stop."""
        with httpx.Client(base_url=self._url, trust_env=False, timeout=30) as client:
            while not self._over.is_set():
                try:
                    self._look(client, "/simple/", "projects", "name")
                    name = self._random.choice(self._projects)
                    self._look(client, f"/simple/{name}/", "files", "filename")
                except httpx.TransportError:
                    pass  # it was killed
                except Exception as error:
                    self.wrongs.append(repr(error))
                time.sleep(PAUSE)

    def _look(self, client: httpx.Client, path: str, what: str, called: str) -> None:
        answer = client.get(path, headers={"Accept": JSON})
        if answer.status_code == 503:
            self.refusals += 1
            return
        if answer.status_code != 200:
            self.wrongs.append(f"{path}: {answer.status_code}")
            return
        found = {one[called] for one in answer.json()[what]}
        seen = self._files.setdefault(path, set())
        if lost := seen - found:
            self.wrongs.append(f"{path} lost {sorted(lost)}")
        seen |= found
        self.answers += 1
