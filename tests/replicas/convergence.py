"""How soon a write that one replica answered is shown by every other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from tests.factories import Made, make_wheel
from tests.replicas.clients import Actor, Ledger, client, managing, sending
from tests.replicas.fleet import Fleet, page_of, shown

PROJECT = "prober"
EDGES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 2.0, 5.0)
BAR = 40
CALM = 3.0
"""Seconds after the last kill or return from which on nothing is said to disturb."""


@dataclass(slots=True)
class Times:
    """Seconds from an answer until another replica showed what was done."""

    calm: list[float] = field(default_factory=list)
    """With everything running."""
    disturbed: list[float] = field(default_factory=list)
    """With something killed or just back, the replica asked or the cache among it."""


class Prober(Actor):
    """Yanks one file for one reason after the other, and watches the replicas follow."""

    def __init__(self, fleet: Fleet, ledger: Ledger, seed: int, times: Times) -> None:
        super().__init__(fleet, ledger, seed)
        self.times = times
        self._turn = 0
        self._made: Made | None = None

    def act(self) -> None:
        if self._made is None:
            made = make_wheel(PROJECT, "1.0")
            try:
                answer = sending(PROJECT, made)(self.http, self.fleet.front)
            except httpx.TransportError:
                return
            if self.judged(answer, self.fleet.front) == 200:
                self._made = made
            return
        self._turn += 1
        reason = f"turn {self._turn}"
        path = f"/api/v1/projects/{PROJECT}/files/{self._made.filename}"
        writer = self.chance.choice(list(self.fleet.replicas))
        try:
            answer = managing("PATCH", path, {"yanked": reason})(self.http, writer.url)
        except httpx.TransportError:
            return
        if self.judged(answer, writer.url) != 200:
            return
        done = time.monotonic()
        others = [one.url for one in self.fleet.replicas if one is not writer]
        with ThreadPoolExecutor(len(others) or 1) as pool:
            list(pool.map(lambda url: self._watch(url, reason, done), others))
        time.sleep(self.chance.uniform(0, 0.6))

    def _watch(self, url: str, reason: str, done: float) -> None:
        """Until it is shown; what a replica shows that was asked after the lag must have it."""
        filename = self._made.filename if self._made else ""
        with client() as http:
            while not self.ledger.over.is_set():
                begin = time.monotonic()
                try:
                    page = page_of(http, url, PROJECT)
                    status = self.judged(page, url)
                except httpx.TransportError:
                    return  # it was killed, and begins with what there is
                if status == 200 and shown(page).get(filename, ("", None))[1] == reason:
                    self._count(time.monotonic() - done)
                    return
                if status in (200, 404) and self.fleet.oldest(begin) > done:
                    self.ledger.wrong(f"{url} shows {shown(page)} {begin - done:.2f} s after")
                    return
                time.sleep(0.02)

    def _count(self, seconds: float) -> None:
        calm = not self.fleet.down and time.monotonic() - self.fleet.disturbed > CALM + seconds
        (self.times.calm if calm else self.times.disturbed).append(seconds)


def histogram(title: str, seconds: Sequence[float]) -> str:
    """For people to look at."""
    if not seconds:
        return f"{title}: none"
    lines = [f"{title}: {len(seconds)}, median {sorted(seconds)[len(seconds) // 2]:.2f} s"]
    lines[0] += f", longest {max(seconds):.2f} s"
    below = 0.0
    for edge in (*EDGES, float("inf")):
        if count := sum(below <= one < edge for one in seconds):
            bar = "#" * max(1, round(BAR * count / len(seconds)))
            lines.append(f"  {f'< {edge:g} s':>9} {count:5} {bar}")
        below = edge
    return "\n".join(lines)
