"""The hostile names against the two grammars that every name must pass."""

from __future__ import annotations

import pytest

from app import errors
from app.names import is_filename, normalize, parse_version
from tests.hostile.names import FILENAMES, NAMES, VERSIONS


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_hostile_names_are_no_names(name: str) -> None:
    """No hostile project name is normalised into a good one."""
    with pytest.raises(errors.InvalidName):
        normalize(name)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: ascii(version)[:40])
def test_hostile_versions_are_no_versions(version: str) -> None:
    """No hostile version is a version, except for white space at its end (PEP 440)."""
    assert parse_version(version) is None or version != version.strip()


def test_hostile_filenames_outside_the_grammar() -> None:
    """What is not ASCII, has a separator or a control character is never a filename."""
    odd = [name for name in FILENAMES if not name.isascii() or set(name) & set("/\\\0\n\r\t %<:;")]
    assert len(odd) > 25
    assert not [name for name in odd if is_filename(name)]
