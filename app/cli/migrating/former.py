"""``pypicloud migrate pypicloud``: a PyPICloud 1 brought over whole, by its own configuration."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from app import config, errors, names
from app.access.base import People
from app.cli import adopt, index, opening, people
from app.cli.migrating import catalogue, files, knowing, serving, site, storing, toml, trying
from app.cli.migrating.account import Account
from app.cli.migrating.people import Found, written
from app.cli.migrating.report import Report
from app.config import Settings
from app.index.adopt import Outcome

_PRIVATE = 0o600
KEPT = "kept, though other ones would be written now (move the file away to have them)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the operator asked for."""

    file: Path
    output: Path
    folder: Path
    copy_to: str
    access: str
    upstream: str
    dry_run: bool
    deep: bool


@dataclass(slots=True)
class Plan:
    """What is to be done: settings here and, where files are copied, settings there."""

    account: Account
    source: Settings
    text: str
    prefix: str
    found: Found
    has_people: bool
    elsewhere: str
    left: list[str] = field(default_factory=list)


def pypicloud(
    file: Annotated[Path, typer.Argument(help="The INI file of PyPICloud 1.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file for the settings.")
    ] = Path("pypicloud.toml"),
    folder: Annotated[
        Path | None, typer.Option("--data", help="Where databases go; none: beside the settings.")
    ] = None,
    copy_to: Annotated[
        str, typer.Option(help="Copy the files into this storage; none: adopt them in place.")
    ] = "",
    access: Annotated[str, typer.Option(help="The access that users are imported into.")] = "",
    upstream: Annotated[str, typer.Option(help="The index to fall back on.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")
    ] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Read all bytes again in the end.")] = False,
    every: Annotated[bool, typer.Option("--all", help="List unset options as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Bring over a PyPICloud 1: settings, files, users, groups and permissions.

    Run again it changes nothing, or goes on where it was interrupted. Ends with 1 when
    something had to be left behind.
    """
    wish = Wish(
        file=file,
        output=output,
        folder=(folder or output.parent / "data").resolve(),
        copy_to=copy_to,
        access=access,
        upstream=upstream,
        dry_run=dry_run,
        deep=deep,
    )
    report = Report(file=str(file), output=str(output), dry_run=dry_run, every=every)
    with opening.one_line_errors():
        asyncio.run(_migrate(wish, report))
    typer.echo(json.dumps(report.as_json(), default=str) if as_json else report.as_text())
    if report.incomplete:
        raise typer.Exit(1)


async def _migrate(wish: Wish, report: Report) -> None:
    plan = await _planned(wish)
    with _explained(plan.account):
        await _carried_out(wish, plan, report)


async def _carried_out(wish: Wish, plan: Plan, report: Report) -> None:
    report.options = sorted(plan.account.lines.values(), key=lambda line: line.option)
    report.left += plan.found.left
    report.people_found = _counts(plan.found.people())
    report.people_elsewhere = plan.elsewhere
    if wish.dry_run:
        report.settings = "would be written"
        report.files = await _tried(plan, report)
        return
    with _writing(wish.output):
        wish.output.parent.mkdir(parents=True, exist_ok=True)
    if not wish.output.exists():  # what cannot be opened is not to be kept
        with trying.loaded(plan.text) as settings:
            there = settings.storage == plan.source.storage
            await trying.everything(settings, None if there else plan.source)
    report.settings = _settle(wish.output, plan.text)
    os.environ[config.CONFIG] = str(wish.output)
    settings = config.load()
    if settings.storage == plan.source.storage:
        counts = await adopt.adopted(plan.prefix, apply=True, say=_hearing(report))
    else:
        report.copied, counts, wrong = await files.elsewhere(
            plan.source, settings, prefix=plan.prefix, say=_hearing(report)
        )
        report.left += [f"{outcome.key}: {outcome.reason}" for outcome in wrong]
    report.files = counts
    if counts["adopted"]:
        await opening.note("adopt", "", after=dict(counts))
    if plan.has_people:
        report.people = await people.brought(partial(_people, plan.found))
    findings, report.checked = await index.compared(wish.deep)
    report.findings = [str(finding) for finding in findings]


async def _planned(wish: Wish) -> Plan:
    read = site.read(wish.file, os.environ, catalogue.KNOWN)
    account = Account(read)
    for option, why in catalogue.UNNEEDED.items():
        account.unneeded(option, why)
    for option, why in catalogue.DIFFERS.items():
        account.differs(option, why)
    serving.account_for(account, wish.upstream)
    prefix = storing.account_for(account)
    knowing.account_for_cache(account, wish.folder)
    who = knowing.account_for_access(account, wish.folder, wish.access)
    account.set("spool", str(wish.folder / "spool"))
    account.finish(catalogue.KNOWN)
    source = _checked(account)
    if wish.copy_to:
        account.set("storage", wish.copy_to)
    _checked(account)
    remarks = (f"Settings of {wish.file.name}, by 'pypicloud migrate pypicloud'.",)
    text = toml.dump(dict(sorted(account.settings.items())), remarks)
    found = Found()
    if who.kind == "config":
        found = written(read)
    elif who.kind == "groups":
        found = written(read, users=False)
    elif who.url:
        from app.cli.migrating.database import in_database  # SQLAlchemy, which takes its time

        found = await in_database(who.url, wish.file.parent.resolve())
    return Plan(account, source, text, prefix, found, who.kind != "none", who.elsewhere)


def _checked(account: Account) -> Settings:
    """The settings, as far as they say something; errors.Misconfigured in one line."""
    try:
        return Settings.model_validate(account.settings)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the settings"
        message = account.explained(first["msg"].removeprefix("Value error, "), group=where)
        where = account.options.get(where, where)
        file = account.site.file
        raise errors.Misconfigured(f"What {file} says cannot be: {where}: {message}") from None


@contextmanager
def _explained(account: Account) -> Iterator[None]:
    """What is wrong with a setting is said of the option that it comes from."""
    try:
        yield
    except errors.Misconfigured as wrong:
        raise errors.Misconfigured(account.explained(str(wrong))) from wrong


def _people(found: Found, open_now: bool) -> People:
    read = found.people()
    return People(
        accounts=read.accounts,
        groups=read.groups,
        grants=read.grants,
        registration=read.registration or open_now,
    )


def _counts(read: People) -> dict[str, int]:
    return {
        "users": len(read.accounts),
        "groups": len(read.groups),
        "grants": sum(map(len, read.grants.values())),
    }


async def _tried(plan: Plan, report: Report) -> Counter[str]:
    with trying.loaded(plan.text) as settings:
        await trying.asked(settings)
        # Files that are to be copied lie where the file of old says, whatever variables say.
        there = settings.storage == plan.source.storage
        source = opening.open_storage(settings) if there else opening.open_source(plan.source)
        async with source as opened:
            return await adopt.followed(adopt.trial(opened, plan.prefix), _hearing(report))


def _hearing(report: Report) -> adopt.Say:
    def hear(outcome: Outcome) -> None:
        if outcome.reason is not None and outcome.state == "left":
            report.left.append(f"{outcome.key}: {outcome.reason}")
        report.notes += [f"{outcome.key}: {note}" for note in outcome.notes]
        if outcome.state in ("adopted", "adoptable", "known") and outcome.project:
            report.projects.add(names.normalize(outcome.project))

    return hear


def _settle(output: Path, text: str) -> str:
    """Write the settings, but never over others: whoever changed them meant it."""
    with _writing(output):
        if output.exists():
            same = output.read_text(encoding="utf-8") == text
            return "as they were" if same else KEPT
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w") as new:
            new.write(text)
    return "written"


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise errors.Misconfigured(f"{output} cannot be written: {reason}") from error
