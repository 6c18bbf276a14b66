"""Histories made at random, held against plain dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import errors
from app.cache.base import Cache
from app.cache.memory import MemoryCache
from app.models import Actor, Change, File, FileState, Hashes, Kind, Project, Status
from app.testing.cache.asking import everything
from app.testing.cache.nouns import (
    ALPHA,
    BETA,
    CHANGE,
    FIRST,
    NOON,
    SECOND,
    make_file,
    make_project,
)

every_example = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


_words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_times = st.datetimes(timezones=st.just(UTC))
_actors = st.builds(Actor, kind=_words, id=_words)
_maybe = st.none() | _words
_numbers = st.integers(1, 2**62)
any_file = st.builds(
    File,
    project=st.just(ALPHA),
    filename=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,30}", fullmatch=True),
    version=st.sampled_from(["1.0", "1.0.0", "2!3.dev1", "1.0+local", "2004d"]) | _words,
    kind=st.sampled_from(Kind),
    python_version=_words,
    size=st.integers(0, 2**53),
    hashes=st.builds(Hashes, sha256=_words, blake2b_256=_words, md5=_words),
    blob=_words,
    upload_time=_times,
    changed=_times,
    uploader=_actors,
    generation=st.sampled_from([FIRST, SECOND]),
    sequence=_numbers,
    head=_words,
    metadata_sha256=_maybe,
    metadata_static=st.booleans(),
    requires_python=_maybe,
    summary=_words,
    comment=_words,
    yanked=_maybe,
    state=st.sampled_from(FileState),
    source=_words,
)
any_project = st.builds(
    Project,
    name=st.just(ALPHA),
    display_name=_words,
    generation=st.sampled_from([FIRST, SECOND]),
    sequence=_numbers,
    head=_words,
    status=st.sampled_from(Status),
    status_reason=_maybe,
    deleted=st.booleans(),
    serial=st.integers(0, 2**40),
    files=st.lists(any_file, max_size=4, unique_by=lambda f: f.filename).map(tuple),
)
any_change = st.builds(
    Change,
    action=_words,
    time=_times,
    actor=_actors,
    project=st.none() | st.just(ALPHA),
    filename=_maybe,
    version=_maybe,
)
_heads = st.sampled_from(["one", "two", "three"])
_few_files = st.builds(
    make_file,
    st.sampled_from(["1.0", "2.0", "3.0a1"]),
    st.sampled_from([ALPHA, BETA]),
    sequence=st.integers(1, 4),
    head=_heads,
    generation=st.sampled_from([FIRST, SECOND]),
    state=st.sampled_from(FileState),
    yanked=st.sampled_from([None, "", "broken"]),
    summary=st.sampled_from(["One", "two"]),
    upload_time=st.integers(0, 3).map(lambda hours: NOON + timedelta(hours=hours)),
)
_few_projects = st.builds(
    make_project,
    st.sampled_from([ALPHA, BETA]),
    sequence=st.integers(1, 4),
    head=_heads,
    generation=st.sampled_from([FIRST, SECOND]),
    deleted=st.booleans(),
    serial=st.integers(0, 20),
    status=st.sampled_from(Status),
)
_few_filled = st.tuples(_few_projects, st.lists(_few_files, max_size=4)).map(
    lambda pair: replace(pair[0], files=tuple(f for f in pair[1] if f.project == pair[0].name))
)
_steps = st.one_of(
    st.tuples(st.just("save"), _few_files),
    st.tuples(st.just("save_project"), _few_projects),
    st.tuples(st.just("restore"), st.lists(_few_filled, max_size=3), st.sets(_heads, max_size=2)),
    st.tuples(
        st.just("forget"),
        st.sampled_from([ALPHA, BETA]),
        st.sampled_from([None, make_file("1.0").filename, make_file("2.0", BETA).filename]),
    ),
    st.tuples(st.just("record")),
    st.tuples(st.just("clear")),
)


def raised(step: Sequence[Any], floor: int) -> Sequence[Any]:
    """The step, with the serials that it restores near those of a cache at ``floor``."""
    if step[0] != "restore":
        return step
    projects = [replace(p, serial=p.serial and p.serial + floor) for p in step[1]]
    return "restore", projects, *step[2:]


async def answer_of(cache: Cache, step: Sequence[Any]) -> object:
    """What one step answers, a missing project included."""
    action, *arguments = step
    change = [] if action == "clear" else [CHANGE]
    try:
        if action == "restore":
            projects, untrue = arguments
            return await cache.restore(projects, CHANGE, untrue=untrue)
        return await getattr(cache, action)(*arguments, *change)
    except errors.ProjectNotFound:
        return errors.ProjectNotFound


class Histories:
    """Whatever happened, every answer is that of dictionaries."""

    @given(project=any_project, change=any_change)
    @every_example
    async def test_every_field_survives(
        self, cache: Cache, project: Project, change: Change
    ) -> None:
        """A project, its files and the change come back as they were given."""
        await cache.clear()
        await cache.save_project(project, change)
        for file in project.files:
            serial = await cache.save(file, change)
            assert await cache.file(ALPHA, file.filename) == file
            assert (await cache.changes(serial - 1))[-1] == replace(change, serial=serial)
        found = await cache.project(ALPHA)
        assert found is not None
        assert replace(found, files=(), serial=0) == replace(project, files=(), serial=0)
        assert {f.filename: f for f in found.files} == {f.filename: f for f in project.files}

    @given(steps=st.lists(_steps, max_size=25))
    @every_example
    async def test_any_history_comes_out_the_same(
        self, cache: Cache, steps: list[Sequence[Any]]
    ) -> None:
        """After any writes in any order every question has the plain dictionaries' answer."""
        await cache.clear()
        plain, floor = MemoryCache(), await cache.serial()
        await plain.clear(floor)
        for step in (raised(step, floor) for step in steps):
            assert await answer_of(cache, step) == await answer_of(plain, step)
        assert await everything(cache) == await everything(plain)
