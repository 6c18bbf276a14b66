"""``pypicloud reindex`` of 20,000 files in an S3-compatible store, and its requests per file.

The requests are counted by a proxy, in runs of their own, for it costs time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from app import events
from app.index import journal, serials
from benchmarks import filled
from benchmarks.object_store import seaweed, settings, write_straight
from benchmarks.reindex import PER_PROJECT, Run, run
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, temporary_folder
from tests.servers import s3
from tests.servers.faults import Seen, between


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--files", type=int, default=20_000)
    arguments.add_argument("--per-project", type=int, default=PER_PROJECT, help="files (10)")
    chosen = arguments.parse_args()
    projects = chosen.files // chosen.per_project
    figures = [Figure("projects", projects, ""), Figure("files", chosen.files, "")]
    with temporary_folder() as folder, seaweed() as store:
        say(f"filling the store with {chosen.files} files")
        write_straight(_records(projects, chosen.per_project))
        for label in ("empty cache", "full cache"):
            say(label)
            done = _reindex(folder, store, chosen.files)
            figures += [
                Figure(label, done.files / done.seconds, "files/s"),
                Figure(f"{label}, in all", done.seconds, "s"),
                Figure(f"{label}, processor", done.cpu, "s"),
                Figure(f"{label}, peak", done.peak / MIB, "MiB"),
            ]
        for path in folder.glob("cache.db*"):
            path.unlink()
        with between(int(store.endpoint_url.rpartition(":")[2])) as proxy:
            for label in ("empty cache", "full cache"):
                say(f"{label}, counted")
                begin = len(proxy.seen)
                proxy.busy = 0
                _reindex(folder, store, chosen.files, endpoint_url=proxy.url)
                figures += _counted(label, proxy.seen[begin:], chosen.files, proxy.busy)
    show("reindex_stores", figures, as_json=chosen.json)


def _reindex(folder: Path, store: s3.S3Server, files: int, **options: str) -> Run:
    done = run(folder, "reindex", "--json", **settings(store, **options))
    if done.files != files:
        raise SystemExit(f"{done.files} of {files} files were indexed.")
    return done


def _counted(label: str, seen: Sequence[Seen], files: int, busy: int) -> list[Figure]:
    kinds = Counter("listings" if "list-type=2" in each.target else each.method for each in seen)
    return [
        Figure(f"{label}, requests per file", len(seen) / files, "", "about 1"),
        Figure(f"{label}, GET", kinds["GET"], ""),
        Figure(f"{label}, listings", kinds["listings"], ""),
        Figure(f"{label}, at once at the most", busy, ""),
    ]


def _records(projects: int, files: int) -> Iterator[tuple[str, bytes]]:
    """What ``filled.write_journal`` writes, by key."""
    for serial, each in enumerate(filled.chains(projects, files), start=1):
        yield journal.key(each.name, None, 1), each.own
        for filename, record in each.files.items():
            yield journal.key(each.name, filename, 1), record
        note = serials.Note(serial, events.fingerprint(each.project()))
        yield f"{serials.NOTES}{each.name}.json", msgspec.json.encode(note)


if __name__ == "__main__":
    main()
