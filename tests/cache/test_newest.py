"""Which release is the newest, and that reckoning one by one comes to the same."""

from __future__ import annotations

from datetime import timedelta
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cache import newest
from app.cache.newest import Candidate, Standing
from app.models import FileState
from app.testing.cache import NOON, make_file

_candidates = st.builds(
    Candidate,
    filename=st.sampled_from("abcdefgh"),
    version=st.sampled_from(["1.0", "1.0.0", "2.0", "3.0a1", "3.0.dev2", "2004d", "1.0.post1"]),
    summary=st.sampled_from(["x", "y"]),
    yanked=st.booleans(),
    published=st.booleans(),
    uploaded=st.integers(0, 4),
)
_projects = st.lists(_candidates, max_size=8, unique_by=lambda one: one.filename)


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ("1.9 1.10", "1.10"),
        ("1.10 2.0a1", "1.10"),
        ("1.10 2.0.dev1", "1.10"),
        ("1.10 1.10.post1", "1.10.post1"),
        ("1.10 1.10+local", "1.10+local"),
        ("1!0.1 2.0", "1!0.1"),
        ("2.0a1 2.0b1 2.0rc1", "2.0rc1"),
        ("2.0rc1 3.0-yanked", "2.0rc1"),
        ("1.0-yanked 2.0a1-yanked", "2.0a1"),
        ("2004d 0.1a1", "0.1a1"),
        ("2004d 3.0-yanked", "2004d"),
        ("2004d", "2004d"),
    ],
)
def test_the_newest_release(versions: str, expected: str) -> None:
    """Final before pre-release before yanked; within each PEP 440 decides."""
    files = [
        make_file(version.removesuffix("-yanked"), yanked="" if "-yanked" in version else None)
        for version in versions.split()
    ]
    for order in (files, files[::-1]):
        found = newest.newest(order)
        assert found is not None
        assert found.version == expected
    assert newest.newest([]) is None


def test_the_last_upload_speaks_for_its_release() -> None:
    """Of several files of one release the one uploaded last gives summary and spelling."""
    sdist = make_file("1.0", filename="alpha-1.0.tar.gz", upload_time=NOON + timedelta(seconds=1))
    assert newest.newest([make_file("1.0.0"), sdist]) == sdist


def test_one_file_left_keeps_a_release() -> None:
    """A release one of whose files is not yanked does not count as yanked."""
    files = [make_file("2.0", yanked=""), make_file("2.0", filename="x.whl"), make_file("1.0")]
    found = newest.newest(files)
    assert found is not None
    assert found.version == "2.0"


def test_times_are_exact() -> None:
    """An upload time goes through its microseconds and comes back the same."""
    deleted = newest.candidate(make_file(state=FileState.DELETED))
    assert not deleted.published
    assert deleted.uploaded % 1_000_000 == NOON.microsecond


@given(_projects)
def test_one_by_one_is_all_at_once(candidates: list[Candidate]) -> None:
    """Files joined one after the other come to the same standing as all together."""
    one_by_one: Standing | None = reduce(newest.joined, candidates, None)
    assert one_by_one == newest.fold(candidates)


@given(_projects)
def test_what_is_outshone_is_not_missed(candidates: list[Candidate]) -> None:
    """The standing without a file that was outshone is the standing with it."""
    standing = newest.fold(candidates)
    for one in candidates:
        assert standing is not None
        if newest.outshone(standing, one):
            assert newest.fold(other for other in candidates if other != one) == standing
