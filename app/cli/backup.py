"""``pypicloud backup`` and ``pypicloud restore-backup``: all that is neither bytes nor cache.

A gzipped tar: the journal with what else of the storage is small and ours, users with groups
and grants, tokens (their hashes), publishers, and the audit trail. Bytes are for ``copy``.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import tarfile
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from app import __version__, config, errors
from app.access import exchange
from app.access.base import editable
from app.access.ledger import Ledger, Publisher, Token
from app.cli import opening, people
from app.cli.index import brought_up
from app.cli.showing import Json, plain, spinner
from app.index import blobs
from app.index.adopting_names import is_ours
from app.index.journal import ROOT as JOURNAL
from app.index.serials import BLOCKS, NOTES
from app.storage.base import Storage, read

FORM = 1
"""Of the archive; another one is not read."""
MANIFEST, PEOPLE, TOKENS, PUBLISHERS = (
    "manifest.json", "people.json", "tokens.json", "publishers.json",
)  # fmt: skip
TRAIL, SETTINGS, STORED = "trail.jsonl", "settings.toml", "storage/"
KEPT = (JOURNAL, blobs.ADOPTED, BLOCKS, NOTES)
"""What keys of the storage begin with that come along."""
LONGEST = 64 * 2**20
"""Bytes of one member."""
_PRIVATE, _NEW = 0o600, os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_UNREADABLE = (OSError, EOFError, tarfile.TarError, zlib.error, gzip.BadGzipFile)


def backup(
    file: Annotated[Path, typer.Argument(help="The archive to write, for its owner only.")],
    as_json: Json = False,
) -> None:
    """Back up access, the journal and settings. The bytes of files are not in it."""
    with opening.one_line_errors():
        counts = asyncio.run(_backup(file))
        asyncio.run(opening.note("config.export", "backup", after=dict(counts)))
    if as_json:
        typer.echo(json.dumps(dict(counts)))
    else:
        typer.echo(f"Wrote {file}: {_told(counts)}.")


def restore_backup(
    file: Annotated[Path, typer.Argument(help="An archive of 'pypicloud backup'.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is missing, and write nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring back what is missing of a backup. Nothing that is there is written over.

    Afterwards the cache is brought up to the journal. Ends with 1 when something that is there
    is not what the backup has.
    """
    with opening.one_line_errors():
        counts, differing = asyncio.run(_restored(file, dry_run))
        if not dry_run and counts.total():
            asyncio.run(opening.note("config.import", "backup", after=dict(counts)))
    if as_json:
        typer.echo(json.dumps({**counts, "differing": differing, "dry_run": dry_run}))
    else:
        for line in differing:
            typer.echo(plain(f"left as it is: {line}"))
        verb = "would be brought back" if dry_run else "brought back"
        typer.echo(
            f"{_told(counts) or 'Nothing was missing'} {verb if counts else ''}".strip() + "."
        )
    if differing:
        raise typer.Exit(1)


async def _backup(file: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    settings = config.load()
    with _writing(file) as archive:
        await _add(archive, MANIFEST, json.dumps({"form": FORM, "version": __version__}).encode())
        async with opening.open_ledger() as (access, ledger):
            await _add(archive, PEOPLE, exchange.dump(await access.people(), __version__))
            await _add(archive, TOKENS, msgspec.json.encode(await ledger.tokens.of()))
            found = await _publishers(ledger)
            await _add(archive, PUBLISHERS, msgspec.json.encode(found))
            counts["tokens"] = len(await ledger.tokens.of())
            counts["publishers"] = len(found)
            counts["users"] = len((await access.people()).accounts)
            lines = [msgspec.json.encode(one) + b"\n" async for one in ledger.trail.entries()]
            await _add(archive, TRAIL, b"".join(lines))
        named = os.environ.get(config.CONFIG)
        if named:
            await _add(archive, SETTINGS, await asyncio.to_thread(Path(named).read_bytes))
        async with opening.open_storage(settings) as storage:
            with spinner() as shown:
                task = shown.add_task("Reading the journal")
                async for key, content in _records(storage):
                    await _add(archive, f"{STORED}{key}", content)
                    counts["records"] += 1
                    shown.update(task, description=f"{counts['records']} records")
    return counts


async def _publishers(ledger: Ledger) -> list[Publisher]:
    async with opening.open_built_index() as index:
        projects = [line.name for line in (await index.listing()).projects]
    found = {one.id: one for name in projects for one in await ledger.publishers.of(name)}
    return list(found.values())


async def _records(storage: Storage) -> AsyncIterator[tuple[str, bytes]]:
    for prefix in KEPT:
        async for stored in storage.scan(prefix):
            if is_ours(stored.key):
                try:
                    yield stored.key, await read(storage, stored.key, limit=LONGEST)
                except errors.KeyNotFound:
                    continue


async def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), _PRIVATE, int(time.time())
    await asyncio.to_thread(archive.addfile, member, io.BytesIO(content))


@contextmanager
def _writing(file: Path) -> Iterator[tarfile.TarFile]:
    """A new archive, which is there only once it is whole."""
    partial = file.with_name(f".{file.name}.part")
    try:
        with (
            os.fdopen(
                os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE), "wb"
            ) as raw,
            tarfile.open(fileobj=raw, mode="w:gz", format=tarfile.PAX_FORMAT) as archive,
        ):
            yield archive
        partial.replace(file)
    except OSError as error:
        raise errors.Misconfigured(f"{file} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


async def _restored(file: Path, dry_run: bool) -> tuple[Counter[str], list[str]]:
    members = await asyncio.to_thread(lambda: dict(_members(file)))
    manifest = _decoded(members.get(MANIFEST, b"{}"), dict[str, Any])
    if manifest.get("form") != FORM:
        raise errors.Invalid(f"{file} is no backup that this version can read.")
    counts: Counter[str] = Counter()
    async with opening.open_storage(config.load()) as storage:
        differing = await _bring_records(storage, members, counts, dry_run)
    if not dry_run:
        async with opening.open_index() as index:
            await brought_up(index)
    text = members.get(PEOPLE)
    if text is not None:
        lines = await people.brought(
            lambda open_now: exchange.parse(text, registration=open_now), dry_run=dry_run
        )
        counts["changes of users and grants"] = len(lines)
    async with opening.open_ledger() as (access, ledger):
        editable(access)
        await _bring_ledger(ledger, members, counts, dry_run)
    return +counts, differing


async def _bring_records(
    storage: Storage, members: Mapping[str, bytes], counts: Counter[str], dry_run: bool
) -> list[str]:
    differing = []
    stored = {
        name.removeprefix(STORED): text for name, text in members.items() if name.startswith(STORED)
    }
    wanted = {key: text for key, text in stored.items() if key.startswith(KEPT) and is_ours(key)}
    with spinner() as shown:
        task = shown.add_task("Comparing")
        for number, (key, content) in enumerate(wanted.items(), 1):
            shown.update(task, description=f"{number} of {len(wanted)} records")
            if await storage.head(key) is None:
                if dry_run or await storage.create(key, content):
                    counts["records"] += 1
            elif not key.startswith(NOTES) and await read(storage, key, limit=LONGEST) != content:
                differing.append(key)
    return differing


async def _bring_ledger(
    ledger: Ledger, members: Mapping[str, bytes], counts: Counter[str], dry_run: bool
) -> None:
    """Into an empty ledger alone: in another, what is missing may have been revoked."""
    if await ledger.tokens.of():
        return
    for token in _decoded(members.get(TOKENS, b"[]"), list[Token]):
        counts["tokens"] += 1
        if not dry_run:
            await ledger.tokens.add(token)
    for publisher in _decoded(members.get(PUBLISHERS, b"[]"), list[Publisher]):
        if await ledger.publishers.find(publisher.id) is None:
            counts["publishers"] += 1
            if not dry_run:
                await ledger.publishers.add(publisher)


def _members(file: Path) -> Iterator[tuple[str, bytes]]:
    """The plain files of an archive; nothing of it is ever written by its name."""
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise errors.Invalid(f"{file} cannot be read: {error.strerror}") from error
    try:
        with tarfile.open(file, "r:gz") as archive:
            for member in archive:
                kept = archive.extractfile(member) if member.isreg() else None
                if kept is None or member.size > LONGEST:
                    continue
                yield member.name, kept.read(LONGEST)
    except (OSError, EOFError, tarfile.TarError, zlib.error, gzip.BadGzipFile) as wrong:
        raise errors.Invalid(
            f"{file} is no backup, or is damaged ({type(wrong).__name__})."
        ) from None


def _decoded(content: bytes, shape: Any) -> Any:
    try:
        return msgspec.json.decode(content, type=shape)
    except msgspec.MsgspecError as wrong:
        raise errors.Invalid(f"The backup is damaged: {wrong}") from None


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {what}" for what, number in counts.items())
