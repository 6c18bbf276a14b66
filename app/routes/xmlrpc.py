"""XML-RPC at ``/pypi``: ``pip search``, and the lists that mirrors of old asked for.

Uploads are sent to the same URL; the upload door hands over what ``is_call`` says is ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Literal
from xmlrpc.client import Fault

from fastapi import Request, Response

from app import errors
from app.cache.base import Query
from app.dependencies import get_limits
from app.index import Index
from app.index.history import PRUNED
from app.models import Change, ProjectSummary
from app.reports import client_address
from app.routes import calls
from app.routes.calls import Value
from app.routes.reading import Reader

LIMIT = 64 * 1024
"""No call is longer than this many bytes."""
TERMS = 20
TERM_LENGTH = 200
CHANGES = 50_000
"""More changes than this come with the next call."""

Method = Callable[[Index, Reader, Sequence[Value]], Awaitable[Value]]


def is_call(request: Request) -> bool:
    """Whether a POST is XML-RPC and not an upload."""
    media_type = request.headers.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() in ("text/xml", "application/xml")


async def answer(request: Request, index: Index, reader: Reader) -> Response:
    """The response to a call; what is wrong with it is a Fault, with status 200.

    Raises errors.TooLarge, errors.TooManyAttempts, errors.Unauthenticated, errors.Unavailable.
    """
    try:
        name, arguments = calls.parse(await _body(request))
        method = METHODS.get(name)
        if method is None:
            raise Fault(calls.NO_METHOD, "There is no such method.")
        if method is _search:
            limits = await get_limits(request)
            await limits.spend(limits.search(client_address(request)))
        body = calls.answer(await method(index, reader, arguments))
    except Fault as fault:
        body = calls.fault(fault)
    return Response(
        body,
        media_type="text/xml",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LIMIT:
            raise errors.TooLarge(f"A call has at most {LIMIT} bytes.")
    return bytes(body)


async def _search(index: Index, reader: Reader, arguments: Sequence[Value]) -> Value:
    """``search({"name": …, "summary": …}, "and" | "or")``; a criterion is a term or several."""
    match arguments:
        case [dict() as criteria]:
            operator: Literal["and", "or"] = "and"
        case [dict() as criteria, ("and" | "or") as operator]:
            pass
        case _:
            raise Fault(calls.WRONG_ARGUMENTS, "search takes criteria, and 'and' or 'or'.")
    query = Query(
        names=_terms(criteria.get("name")),
        summaries=_terms(criteria.get("summary")),
        operator=operator,
    )
    found = await reader.visible(await index.search(query))
    return [
        {"name": one.display_name, "summary": one.summary, "version": one.version} for one in found
    ]


def _terms(criterion: Value) -> tuple[str, ...]:
    terms = criterion if isinstance(criterion, list) else [criterion]
    chosen = tuple(term for term in terms if isinstance(term, str) and term)
    if len(chosen) > TERMS or any(len(term) > TERM_LENGTH for term in chosen):
        raise Fault(
            calls.WRONG_ARGUMENTS, f"At most {TERMS} terms of {TERM_LENGTH} characters each."
        )
    return chosen


async def _list_packages_with_serial(
    index: Index, reader: Reader, arguments: Sequence[Value]
) -> Value:
    _none_of(arguments)
    return {one.display_name: one.serial for one in await reader.visible(await index.projects())}


async def _changelog_last_serial(index: Index, reader: Reader, arguments: Sequence[Value]) -> Value:
    _none_of(arguments)
    return await index.shown_serial()


async def _changelog_since_serial(
    index: Index, reader: Reader, arguments: Sequence[Value]
) -> Value:
    """``[project, version, time, action, serial]`` of each change, of projects that are there.

    In the place of changes that are no longer listed stands the last of each project.
    """
    match arguments:
        case [int(after)] if not isinstance(after, bool) and 0 <= after < 2**63:
            pass
        case _:
            raise Fault(calls.WRONG_ARGUMENTS, "changelog_since_serial takes a serial.")
    visible = {one.name: one for one in await reader.visible(await index.projects())}
    entries: list[Value] = []
    while len(entries) < CHANGES and (changes := await index.history.changes(after)):
        for change in changes:
            if change.action == PRUNED:
                entries += _latest(visible.values(), after, change.serial)
            elif change.project in visible:
                entries.append(_entry(change))
        after = changes[-1].serial
    return entries


def _latest(every: Iterable[ProjectSummary], after: int, last: int) -> list[Value]:
    """An entry of each project whose own serial is one of these."""
    those = sorted((one for one in every if after < one.serial <= last), key=lambda o: o.serial)
    return [
        [one.name, one.version, int(one.updated.timestamp()), "update", one.serial] for one in those
    ]


def _entry(change: Change) -> Value:
    verb = "add" if change.action == "publish" else change.action
    action = verb if change.filename is None else f"{verb} file {change.filename}"
    version = change.version or ""
    return [change.project or "", version, int(change.time.timestamp()), action, change.serial]


def _none_of(arguments: Sequence[Value]) -> None:
    if arguments:
        raise Fault(calls.WRONG_ARGUMENTS, "This method takes no arguments.")


METHODS: Mapping[str, Method] = {
    "search": _search,
    "list_packages_with_serial": _list_packages_with_serial,
    "changelog_last_serial": _changelog_last_serial,
    "changelog_since_serial": _changelog_since_serial,
}
