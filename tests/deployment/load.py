"""Many clients on two replicas for a while, as installers ask: nothing that one would show.

python -m tests.deployment.load [--clients 200] [--minutes 10]

Proxy, replicas, databases and store are those of docker-compose.yml, started without containers.
Each client reads a page, the core metadata of a file and the file itself; meanwhile somebody
uploads and yanks, and each replica is restarted twice. Ends with 1 for any answer that is wrong,
and says how much memory each replica took.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from urllib.parse import urljoin

import httpx

from tests.deployment.test_compose import Replica, Site, up
from tests.factories import Made, form, make_wheel
from tests.processes import PASSWORD

PROJECTS = 40
FILES = 5
"""Of each project, before it begins."""
PAUSE = 2.0
"""Seconds, about, between two installations of one client."""
UPLOADS = 2.0
"""A second."""
YANK_EVERY = 5.0
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
AUTH = ("admin", PASSWORD)


@dataclass(slots=True)
class Told:
    """What came back."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    """The sha256 of each file that was uploaded."""

    def check(self, what: str, fine: bool, why: str = "") -> bool:
        """Count an answer, or note what is wrong with it."""
        if fine:
            self.answers[what] += 1
        elif len(self.failures) < 1000:
            self.failures.append(f"{what}: {why[:300]}")
        return fine


def main() -> int:
    """Run it; the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--clients", type=int, default=200)
    arguments.add_argument("--minutes", type=float, default=10.0)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="pypicloud-load-") as folder, up(Path(folder)) as site:
        told, memory = asyncio.run(_loaded(site, chosen.clients, chosen.minutes * 60))
    times = sorted(told.seconds)
    report = {
        "answers": dict(told.answers),
        "failures": len(told.failures),
        "seconds": {"median": median(times), "slowest of a hundred": times[len(times) * 99 // 100]},
        "MiB": memory,
    }
    sys.stdout.write(f"{json.dumps(report, indent=1)}\n")
    for failure in told.failures[:20]:
        sys.stdout.write(f"{failure}\n")
    return 1 if told.failures else 0


async def _loaded(site: Site, clients: int, seconds: float) -> tuple[Told, Mapping[str, list[int]]]:
    told = Told()
    async with _client(site) as client:
        for number in range(PROJECTS * FILES):
            await _upload(client, told, f"project-{number % PROJECTS}", f"1.{number // PROJECTS}")
    until = time.monotonic() + seconds
    memory: dict[str, list[int]] = {str(n): [] for n in range(len(site.replicas))}
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(_reads(site, told, until, number))
        group.create_task(_writes(site, told, until))
        group.create_task(_yanks(site, told, until))
        group.create_task(_watched(site, memory, until))
        group.create_task(_restarted(site, seconds))
    return told, {name: _outline(found) for name, found in memory.items()}


@asynccontextmanager
async def _client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    # As installers do: a connection that cannot be made is tried again.
    transport = httpx.AsyncHTTPTransport(retries=5, verify=False)
    async with httpx.AsyncClient(
        transport=transport, base_url=site.url, auth=AUTH, trust_env=False, timeout=60
    ) as client:
        yield client


async def _ask(
    client: httpx.AsyncClient,
    told: Told,
    what: str,
    status: int,
    method: str,
    url: str,
    **more: object,
) -> httpx.Response | None:
    """An answer of this status. A kept connection that ends just then is not the server's fault."""
    for last in (False, True):
        began = time.monotonic()
        try:
            answer = await client.request(method, url, **more)  # type: ignore[arg-type]
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:
            if not last and method == "GET":
                continue
            told.check(what, fine=False, why=repr(error))
            return None
        except httpx.HTTPError as error:
            told.check(what, fine=False, why=repr(error))
            return None
        told.seconds.append(time.monotonic() - began)
        right = told.check(
            what, answer.status_code == status, f"{url} {answer.status_code} {answer.text[:200]}"
        )
        return answer if right else None
    return None


async def _reads(site: Site, told: Told, until: float, seed: int) -> None:
    """Installs one project after the other."""
    chance = random.Random(seed)  # no secret
    await asyncio.sleep(chance.uniform(0, PAUSE))
    async with _client(site) as client:
        while time.monotonic() < until:
            await _install(client, told, f"project-{chance.randrange(PROJECTS)}", chance)
            await asyncio.sleep(chance.uniform(0.5, 1.5) * PAUSE)


async def _install(client: httpx.AsyncClient, told: Told, name: str, chance: random.Random) -> None:
    page = f"/simple/{name}/"
    answer = await _ask(client, told, "page", 200, "GET", page, headers=JSON)
    if answer is None:
        return
    files = [one for one in answer.json()["files"] if not one.get("yanked")]
    if not told.check("files", bool(files), page):
        return
    one = chance.choice(files)
    url = urljoin(page, one["url"])
    metadata = await _ask(client, told, "metadata", 200, "GET", f"{url}.metadata")
    if metadata is not None:
        digest = hashlib.sha256(metadata.content).hexdigest()
        told.check("metadata hash", digest == one["core-metadata"]["sha256"], url)
    found = await _ask(client, told, "file", 200, "GET", url)
    if found is not None:
        digest = hashlib.sha256(found.content).hexdigest()
        told.check("file hash", digest == one["hashes"]["sha256"], url)


async def _upload(client: httpx.AsyncClient, told: Told, name: str, version: str) -> None:
    made: Made = make_wheel(name, version)
    answer = await _ask(
        client,
        told,
        "upload",
        200,
        "POST",
        "/legacy/",
        data=form(made, name, version),
        files={"content": (made.filename, made.content)},
    )
    if answer is not None:
        told.hashes[made.filename] = made.sha256


async def _writes(site: Site, told: Told, until: float) -> None:
    number = 0
    async with _client(site) as client:
        while time.monotonic() < until:
            number += 1
            await _upload(client, told, f"project-{number % PROJECTS}", f"2.{number}")
            await asyncio.sleep(1 / UPLOADS)
    async with _client(site) as client:
        await asyncio.sleep(5)
        for name in (f"project-{number}" for number in range(PROJECTS)):
            answer = await _ask(client, told, "page", 200, "GET", f"/simple/{name}/", headers=JSON)
            shown = answer.json()["files"] if answer is not None else []
            listed = {one["filename"]: one["hashes"]["sha256"] for one in shown}
            mine = {
                file: digest
                for file, digest in told.hashes.items()
                if file.startswith(f"{name.replace('-', '_')}-")
            }
            told.check("nothing lost", mine.items() <= listed.items(), name)


async def _yanks(site: Site, told: Told, until: float) -> None:
    number = 0
    async with _client(site) as client:
        while time.monotonic() < until:
            await asyncio.sleep(YANK_EVERY)
            number += 1
            path = f"/api/v1/projects/project-{number % PROJECTS}/releases/1.0"
            yanked = "for a while" if number // PROJECTS % 2 == 0 else False
            await _ask(client, told, "yank", 200, "PATCH", path, json={"yanked": yanked})


async def _restarted(site: Site, seconds: float) -> None:
    """Each replica twice, one after the other."""
    for _ in range(2):
        await asyncio.sleep(seconds / 3)
        for replica in site.replicas:
            await asyncio.to_thread(_again, replica)
            await asyncio.sleep(10)  # until the proxy sees it, on a busy machine too


def _again(replica: Replica) -> None:
    replica.end()
    replica.begin()
    replica.until_ready()


async def _watched(site: Site, memory: Mapping[str, list[int]], until: float) -> None:
    while time.monotonic() < until:
        for number, replica in enumerate(site.replicas):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, AssertionError):
                memory[str(number)].append(_resident(replica))
        await asyncio.sleep(5)


def _resident(replica: Replica) -> int:
    assert replica.process is not None
    status = Path(f"/proc/{replica.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) // 1024


def _outline(found: list[int]) -> list[int]:
    """Twenty moments, from the first to the last."""
    step = max(1, len(found) // 20)
    return found[::step]


if __name__ == "__main__":
    sys.exit(main())
