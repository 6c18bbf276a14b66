"""Three replicas, what stands before them, and what they share; each may be killed."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import httpx
from ulid import ULID

from tests.canary import require_clean
from tests.invariants.server import AUTH, JSON, ROOT, Server
from tests.replicas.caches import SharedCache, children, running_cache
from tests.servers import s3
from tests.servers.fronts import FRONTS
from tests.servers.running import stop

POLL = 0.5
"""Seconds between two looks of a replica at what others changed: the default of the setting."""
LAG = 2 * POLL
"""So old may be what a replica shows that looks in time: one look may come late, two may not."""
PATIENCE = 240.0
"""Seconds within which what was broken must be whole again, on a machine that has much to do."""


class Replica(Server):
    """A server that is begun again whenever it ends by itself, as an orchestrator would."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, tree=ROOT, **settings)
        self._lock = threading.Lock()
        self._wanted = False

    def want(self) -> None:
        """Have it run from now on."""
        with self._lock:
            self._wanted = True
            self.begin()

    def tend(self) -> None:
        """Begin it anew if it ended."""
        with self._lock:
            if self._wanted and not self.running:
                self.wait()
                self.begin()

    def murder(self) -> None:
        """``kill -9`` for it and, first, for its workers; it stays down until it is wanted."""
        with self._lock:
            self._wanted = False
            workers = children(self.pid)
            self.kill()
            for worker in workers:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

    def close(self) -> None:
        if self._process is not None:
            self.murder()


@dataclass(slots=True)
class Outage:
    """From when until when (time.monotonic) the cache could not answer some replica.

    It ends when all of them say that all is well, not when the cache answers again.
    """

    since: float
    until: float = inf


@dataclass(slots=True)
class Fleet:
    """All of it. ``events`` is what was done to it, for whoever has to understand a failure."""

    cache: SharedCache
    replicas: Sequence[Replica]
    front: str
    """The URL of the proxy."""
    workers: int = 1
    """Of each replica."""
    _over: threading.Event = field(default_factory=threading.Event)
    events: list[str] = field(default_factory=list)
    disturbed: float = field(default_factory=time.monotonic)
    """When something was last killed, or came back."""
    down: set[str] = field(default_factory=set)
    _outages: list[Outage] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Say what was done."""
        self.disturbed = time.monotonic()
        self.events.append(f"{self.disturbed:.2f} {what}")

    @property
    def entrances(self) -> list[str]:
        """Where clients may ask."""
        return [self.front, *(replica.url for replica in self.replicas)]

    def kill(self, replica: Replica) -> None:
        """One replica."""
        self.down.add(replica.url)
        self.note(f"killed the replica at {replica.url}")
        replica.murder()

    def revive(self, replica: Replica) -> None:
        """The same, again."""
        replica.want()
        self.down.discard(replica.url)
        self.note(f"began the replica at {replica.url}")

    def kill_worker(self, replica: Replica, chance: random.Random) -> None:
        """One of its workers; the others go on."""
        # The first child of a parent of workers keeps count of what they share.
        workers = [pid for pid in children(replica.pid) if is_worker(pid)]
        victim = chance.choice(workers)
        self.note(f"killed the worker {victim} of {workers}")
        os.kill(victim, signal.SIGKILL)

    def kill_cache(self) -> None:
        """The database."""
        self.down.add(self.cache.name)
        self._outages.append(Outage(time.monotonic()))
        self.note(f"killed {self.cache.name}")
        self.cache.kill()

    def revive_cache(self) -> None:
        """The same, again."""
        self.cache.resume()
        self.down.discard(self.cache.name)
        self.note(f"{self.cache.name} is back")

    def freeze_cache(self) -> None:
        """The database: it is there, and says nothing."""
        self.down.add(self.cache.name)
        self._outages.append(Outage(time.monotonic()))
        self.note(f"froze {self.cache.name}")
        self.cache.freeze()

    def thaw_cache(self) -> None:
        """The same, again."""
        self.cache.thaw()
        self.down.discard(self.cache.name)
        self.note(f"{self.cache.name} goes on")

    def empty_cache(self) -> None:
        """Take away all that it holds."""
        self._outages.append(Outage(time.monotonic()))
        self.cache.empty()
        self.note(f"emptied {self.cache.name}")

    def oldest(self, begin: float) -> float:
        """Of which moment a page may be that was asked for at ``begin``.

        While the cache cannot be asked, what a replica knew is shown for as long as
        STALE_LIMIT: it may be as old as the outage, and what one lags behind at all times.
        """
        for outage in list(self._outages):
            if outage.since <= begin <= outage.until:
                return outage.since - LAG
        return begin - LAG

    def tend(self) -> None:
        """Begin replicas that ended by themselves, until closed; a thread's work."""
        while not self._over.wait(0.1):
            for replica in self.replicas:
                replica.tend()
            self._end_outages()

    def _end_outages(self) -> None:
        lasting = [outage for outage in self._outages if outage.until == inf]
        if lasting and not self.down and all(ready(replica) for replica in self.replicas):
            for outage in lasting:
                outage.until = time.monotonic()

    def close(self) -> None:
        """End the replicas."""
        self._over.set()
        for replica in self.replicas:
            replica.close()

    def until_ready(self) -> float:
        """Return when all say that all is well; how many seconds that took."""
        began = time.monotonic()
        while not all(ready(replica) for replica in self.replicas):
            assert time.monotonic() - began < PATIENCE, self.report()
            time.sleep(0.1)
        return time.monotonic() - began

    def report(self) -> str:
        """What was done, and the ends of all logs."""
        logs = (f"--- {one.log_file.name}\n{one.log[-3000:]}" for one in self.replicas)
        return "\n".join([*self.events, *logs])

    def require_sound(self) -> None:
        """No replica met what it did not expect."""
        for replica in self.replicas:
            assert "Traceback" not in replica.log, replica.log[-8000:]
            require_clean(replica.log, AUTH[1])


def until_ready(replica: Replica) -> None:
    """Return once it says that all is well."""
    began = time.monotonic()
    while not ready(replica):
        assert time.monotonic() - began < PATIENCE, replica.log[-4000:]
        time.sleep(0.1)


def is_worker(pid: int) -> bool:
    """Whether it serves: its first child runs a module of multiprocessing's."""
    with suppress(OSError):
        return b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def ready(replica: Server) -> bool:
    """Whether it says that all is well: not stale, not building."""
    try:
        answer = httpx.get(f"{replica.url}/health/ready", trust_env=False, timeout=10)
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and answer.json()["status"] == "ok"


@contextmanager
def fleet(
    cache_name: str, front: str, folder: Path, *, count: int = 3, **settings: str
) -> Iterator[Fleet]:
    """``count`` replicas on this cache and on SeaweedFS, behind this proxy, ready."""
    store = s3.seaweed()
    with ExitStack() as stack:
        cache = stack.enter_context(running_cache(cache_name, folder / "cache"))
        shared = {
            "STORAGE": f"s3://{s3.BUCKET}/{ULID()}",
            **{f"S3__{name.upper()}": str(value) for name, value in store.options.items()},
            "TRUSTED_PROXIES": "127.0.0.1/32",
            "LOG_LEVEL": "warning",
            **cache.settings,
            **settings,
        }
        replicas = [Replica(folder, **shared) for _ in range(count)]
        (folder / front).mkdir()
        ports = [replicas[number % count].port for number in range(3)]
        before = FRONTS[front](folder / front, ports)
        stack.callback(stop, before)
        url = f"https://127.0.0.1:{before.ports['https']}"
        found = Fleet(cache, replicas, url, int(settings.get("WORKERS", "1")))
        stack.callback(found.close)
        for number, replica in enumerate(replicas):
            replica.want()
            if not number:  # it makes the admin, and lays out the cache
                until_ready(replica)
        threading.Thread(target=found.tend, daemon=True).start()
        found.until_ready()
        yield found
    found.require_sound()


def page_of(client: httpx.Client, url: str, project: str) -> httpx.Response:
    """A project's page, as JSON."""
    return client.get(f"{url}/simple/{project}/", headers={"Accept": JSON})


def shown(page: httpx.Response) -> dict[str, tuple[str, str | None]]:
    """What a page says of each file, as model.State.shown has it."""
    return {
        file["filename"]: (file["hashes"]["sha256"], file.get("yanked") or None)
        for file in page.json()["files"]
    }
