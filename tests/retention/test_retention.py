"""Retention: what the rules let go, looked at first, deleted then, restored where it was wrong."""

from __future__ import annotations

import asyncio
import time as clock
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import pytest
from packaging.utils import NormalizedName
from pydantic import ValidationError

from app.downloads import Downloads
from app.models import Actor, File, FileState, Hashes, Kind, Project, Status
from app.retention import doomed, times
from app.retention.options import RetentionOptions
from app.storage.file import connect
from tests.factories import make_wheel
from tests.routes.site import ADMIN, Site, site

NOW = datetime(2026, 11, 29, tzinfo=UTC)
ALICE = Actor(kind="user", id="alice")


def file(version: str, *, days: float = 0, number: int = 0, **more: Any) -> File:
    """A file of a release, uploaded so many days ago."""
    time = NOW - timedelta(days=days)
    facts: dict[str, Any] = {
        "project": NormalizedName("demo"),
        "filename": f"demo-{version}-{number}.whl",
        "version": version,
        "kind": Kind.WHEEL,
        "python_version": "py3",
        "size": 1,
        "hashes": Hashes(sha256="0" * 64, blake2b_256="0", md5="0"),
        "blob": "x",
        "upload_time": time,
        "changed": time,
        "uploader": ALICE,
        "generation": "g",
        "sequence": 1,
        "head": "0",
    }
    return File(**(facts | more))


def gone(
    rules: dict[str, Any],
    *files: File,
    used: Mapping[timedelta, frozenset[str]] = MappingProxyType({}),
    **facts: Any,
) -> list[str]:
    """The versions that the rules let go, each as often as it has files."""
    project = Project(
        name=NormalizedName("demo"),
        display_name="Demo",
        generation="g",
        sequence=1,
        head="0",
        files=files,
    )
    options = RetentionOptions.model_validate(rules)
    return [one.file.version for one in doomed(replace(project, **facts), options, NOW, used)]


def rule(**keys: Any) -> dict[str, Any]:
    """One rule."""
    return {"rules": [keys]}


WEEK = timedelta(days=7)


def unused(*files: File, used: Mapping[timedelta, frozenset[str]]) -> list[str]:
    """The versions that go because nobody downloaded them for a week."""
    return gone(rule(unused_after="7 d"), *files, used=used)


def test_only_some_times_have_to_be_known() -> None:
    """Those of the rules for a project."""
    rules = [{"unused_after": "7 d"}, {"unused_after": "8 d", "projects": ["other"]}, {"keep": 1}]
    options = RetentionOptions.model_validate({"rules": rules})
    assert times("demo", options) == {WEEK}
    assert times("other", options) == {WEEK, timedelta(days=8)}


def test_what_nobody_downloads_goes() -> None:
    """Whole releases, old enough, of which no file was wanted; never the newest."""
    files = [file("1.0", days=30), file("1.1", days=30), file("1.2", days=3), file("2.0", days=30)]
    assert unused(*files, used={WEEK: frozenset({"1.1"})}) == ["1.0"]


def test_what_is_not_known_is_no_reason() -> None:
    """Where nobody counted for so long nothing goes."""
    files = [file("1.0", days=30), file("2.0", days=30)]
    assert unused(*files, used={}) == []
    assert unused(*files, used={timedelta(days=8): frozenset()}) == []


@pytest.mark.parametrize("time", ["0 s", "23 h", "91 d"])
def test_unused_is_a_time_that_is_counted(time: str) -> None:
    """Of a day, and of at most as many as versions are told apart."""
    with pytest.raises(ValidationError):
        RetentionOptions.model_validate(rule(unused_after=time))


class Later(datetime):
    """Five days from now."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Then."""
        return super().now(tz) + timedelta(days=5)


def test_unused_releases_are_previewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the service: what was downloaded lately stays, and all while counting is new."""
    monkeypatch.setattr("app.routes.retention.datetime", Later)
    long_ago = clock.time() - 20 * 86400

    async def counted() -> None:
        async with connect(f"file:{tmp_path}/packages", {}) as storage:
            downloads = Downloads(storage, clock=lambda: long_ago)
            downloads.tally.count("another", "1.0", b"pip/24.2")
            await downloads.close()

    rules = {"rules": [{"unused_after": "1 d", "keep_at_least": 1}]}
    chosen = {"storage": f"file:{tmp_path}/packages", "retention": rules}
    with site(tmp_path, **chosen) as place:
        for version in ("1.0", "2.0", "3.0"):
            made = make_wheel("demo", version)
            place.upload(made, "demo", auth=ADMIN, version=version).raise_for_status()
        assert place.ask("GET", "/api/v1/retention", auth=ADMIN).json()["files"] == []
    asyncio.run(counted())
    with site(tmp_path, **chosen) as place:
        place.ask("GET", "/files/demo/demo-1.0-py3-none-any.whl", auth=ADMIN).raise_for_status()
        found = place.ask("GET", "/api/v1/retention", auth=ADMIN).json()["files"]
        assert [(one["version"], one["why"]) for one in found] == [
            ("2.0", "nobody downloaded it for 1 day, 0:00:00")
        ]


def test_the_newest_are_kept_by_version() -> None:
    """Not by time, and whole releases; pre-releases do not count."""
    files = [file("1.10", days=9), file("1.9", days=1), file("1.9", days=1, number=1)]
    files += [file("1.8"), file("2.0a1")]
    assert gone(rule(keep=1), *files) == ["1.8", "1.9", "1.9"]
    assert gone(rule(keep=2), *files) == ["1.8"]
    assert gone(rule(keep=3), *files) == []
    assert gone(rule(keep=1), *files, file("of-old"), file("1-x-y")) == ["1.8", "1.9", "1.9"]


def test_old_prereleases_go() -> None:
    """A release is as old as its newest file; finals stay."""
    files = [file("2.0"), file("2.0a1", days=40), file("2.0a2", days=40), file("1.0", days=99)]
    files += [file("2.0a2", days=1, number=1), file("2.0.dev1", days=31)]
    assert gone(rule(prereleases_after="30 d"), *files) == ["2.0.dev1", "2.0a1"]


def test_what_was_yanked_long_ago_goes() -> None:
    """As a whole, counted from the yank."""
    files = [file("3.0"), file("2.0", yanked="bad", days=100), file("1.0", yanked="bad", days=9)]
    files += [file("1.1", yanked="bad", days=100), file("1.1", days=100, number=1)]
    assert gone(rule(yanked_after="90 d"), *files) == ["2.0"]


def test_the_newest_release_stays_whatever_a_rule_says() -> None:
    """Be it a pre-release or yanked."""
    old = [file("1.0a1", days=400), file("1.0a2", days=400)]
    assert gone(rule(prereleases_after="1 d"), *old) == ["1.0a1"]
    assert gone(rule(prereleases_after="1 d", keep_at_least=2), *old) == []


def test_what_is_protected_stays() -> None:
    """By project or by release; nor does anything go of what is archived, or gone already."""
    files = [file("1.0"), file("1.1"), file("2.0"), file("3.0")]
    assert gone(rule(keep=1), *files) == ["1.0", "1.1", "2.0"]
    assert gone(rule(keep=1) | {"protect": ["demo==1.*"]}, *files) == ["2.0"]
    assert gone(rule(keep=1) | {"protect": ["d*"]}, *files) == []
    assert gone(rule(keep=1, projects=["team-*"]), *files) == []
    assert gone(rule(keep=1), *files, status=Status.ARCHIVED) == []
    assert gone(rule(keep=1), *files, status=Status.QUARANTINED) == []
    deleted = replace(files[0], state=FileState.DELETED)
    assert gone(rule(keep=1), deleted, *files[1:]) == ["1.1", "2.0"]


@pytest.mark.parametrize("keys", [{}, {"keep": 0}, {"prereleases_after": "soon"}, {"kep": 1}])
def test_a_rule_says_something(keys: dict[str, Any]) -> None:
    """An empty rule is a slip, and so is one that keeps nothing."""
    with pytest.raises(ValidationError):
        RetentionOptions.model_validate({"rules": [keys]})


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    """An index that keeps two releases of each project but of ``safe``."""
    rules = RetentionOptions.model_validate({"rules": [{"keep": 2}], "protect": ["safe"]})
    with site(tmp_path, retention=rules) as found:
        for name in ("demo", "safe"):
            for number in range(4):
                made = make_wheel(name, f"{number}.0")
                answer = found.upload(made, name, auth=ADMIN, version=f"{number}.0")
                assert answer.status_code == 200, answer.text
        yield found


def listed(place: Site, name: str) -> set[str]:
    """The versions that a project's page has."""
    answer = place.ask("GET", f"/api/v1/projects/{name}", auth=ADMIN)
    return {one["version"] for one in answer.json()["files"]}


def test_what_goes_is_looked_at_first_and_can_be_restored(place: Site) -> None:
    """The preview changes nothing; what is deleted is what was chosen, and stands in the trail."""
    shown = place.ask("GET", "/api/v1/retention", auth=ADMIN).json()
    assert [one["version"] for one in shown["files"]] == ["0.0", "1.0"]
    assert shown["files"][0]["why"] == "not among the newest 2 releases"
    assert listed(place, "demo") == {"0.0", "1.0", "2.0", "3.0"}
    first = shown["files"][0]
    chosen = [{key: first[key] for key in ("project", "filename", "sha256")}]
    kept = {"project": "demo", "filename": make_wheel("demo", "3.0").filename}
    kept["sha256"] = make_wheel("demo", "3.0").sha256
    other = {**chosen[0], "filename": shown["files"][1]["filename"]}  # not these bytes
    sent = {"files": [*chosen, kept, other]}
    done = place.ask("POST", "/api/v1/retention", auth=ADMIN, json=sent).json()
    assert done["files"] == [first]
    assert listed(place, "demo") == {"1.0", "2.0", "3.0"}
    assert listed(place, "safe") == {"0.0", "1.0", "2.0", "3.0"}
    (entry,) = place.trail(action="file.delete")
    assert entry.before is not None
    assert entry.before["why"] == first["why"]
    path = f"/api/v1/projects/demo/files/{first['filename']}/restore"
    assert place.ask("POST", path, auth=ADMIN).status_code == 200
    assert listed(place, "demo") == {"0.0", "1.0", "2.0", "3.0"}


def test_what_the_list_says_may_be_sent_as_it_is(place: Site) -> None:
    """The answer of the one is what the other takes; nothing has to be picked out of it."""
    shown = place.ask("GET", "/api/v1/retention", auth=ADMIN)
    done = place.ask("POST", "/api/v1/retention", auth=ADMIN, json=shown.json())
    assert (done.status_code, done.json()) == (200, shown.json())
    assert listed(place, "demo") == {"2.0", "3.0"}


def test_retention_is_for_admins(place: Site) -> None:
    """Looking as well as deleting."""
    alice = place.user("alice")
    for auth, status in ((None, 401), (alice, 403)):
        assert place.ask("GET", "/api/v1/retention", auth=auth).status_code == status
        sent = {"files": [{"project": "demo", "filename": "x", "sha256": "0" * 64}]}
        answer = place.ask("POST", "/api/v1/retention", auth=auth, json=sent)
        assert answer.status_code == status
    odd = {"files": [{"project": "../up", "filename": "x", "sha256": "0" * 64}]}
    assert place.ask("POST", "/api/v1/retention", auth=ADMIN, json=odd).status_code == 400
    assert listed(place, "demo") == {"0.0", "1.0", "2.0", "3.0"}
