"""How errors look on the wire: the table and the shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from app import answers, errors

MADE: dict[type[errors.PypicloudError], errors.PypicloudError] = {
    errors.ActionGone: errors.ActionGone("submit"),
    errors.ProjectNotFound: errors.ProjectNotFound("demo"),
    errors.ReleaseNotFound: errors.ReleaseNotFound("demo", "1.0"),
    errors.FileNotFound: errors.FileNotFound("demo", "demo-1.0.tar.gz"),
    errors.KeyNotFound: errors.KeyNotFound("blobs/x"),
    errors.UserNotFound: errors.UserNotFound("alice"),
    errors.FileExists: errors.FileExists("demo-1.0.tar.gz", "aa"),
    errors.FilenameUsed: errors.FilenameUsed(),
    errors.UserExists: errors.UserExists("alice"),
    errors.PublisherExists: errors.PublisherExists(),
    errors.TooManyAttempts: errors.TooManyAttempts(timedelta(minutes=5)),
    errors.ProjectClosed: errors.ProjectClosed("demo", "archived"),
    errors.Quarantined: errors.Quarantined("demo"),
    errors.MintRefused: errors.MintRefused("invalid-token", "The token has expired."),
    errors.IndexNotReady: errors.IndexNotReady(),
}
STATUS = {
    "NotFound": 404,
    "ProjectNotFound": 404,
    "ReleaseNotFound": 404,
    "FileNotFound": 404,
    "KeyNotFound": 500,
    "UserNotFound": 404,
    "GroupNotFound": 404,
    "TokenNotFound": 404,
    "PublisherNotFound": 404,
    "Invalid": 400,
    "InvalidName": 400,
    "InvalidUpload": 400,
    "ActionGone": 410,
    "InvalidPassword": 400,
    "InvalidHash": 400,
    "Refused": 400,
    "FileExists": 400,
    "FilenameUsed": 400,
    "UserExists": 409,
    "GroupExists": 409,
    "PublisherExists": 409,
    "NotEditable": 409,
    "Unauthenticated": 401,
    "Forbidden": 403,
    "TooManyAttempts": 429,
    "ProjectClosed": 403,
    "Quarantined": 403,
    "Withheld": 403,
    "TooLarge": 413,
    "MintRefused": 400,
    "Unavailable": 503,
    "Unreachable": 503,
    "StorageUnavailable": 503,
    "CacheUnavailable": 503,
    "AccessUnavailable": 503,
    "IndexNotReady": 503,
    "Busy": 503,
    "Corrupt": 500,
    "JournalBroken": 500,
    "BlobDamaged": 500,
    "Misconfigured": 500,
}


def tree(kind: type[errors.PypicloudError]) -> Iterator[type[errors.PypicloudError]]:
    """Every error below this one; rooms have finer ones of their own, which doors do not tell."""
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield below
            yield from tree(below)


def test_every_error_has_its_status_here() -> None:
    """The list above names the whole tree, branches and leaves."""
    assert {kind.__name__ for kind in tree(errors.PypicloudError)} == STATUS.keys()


@pytest.mark.parametrize("kind", list(tree(errors.PypicloudError)))
def test_upl_14_every_error_is_answered_in_one_shape(kind: type[errors.PypicloudError]) -> None:
    """The body is JSON with ``code`` and ``message`` under exactly ``application/json``."""
    error = MADE.get(kind) or kind("why")
    answer = answers.answer(error, "0123456789abcdef")
    assert answer.status_code == STATUS[kind.__name__]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    shape = json.loads(bytes(answer.body))
    assert shape == {
        "code": f"{answer.status_code} {shape['message']}",
        "message": shape["message"],
    }
    if answer.status_code == 500:
        assert shape["message"] == "Internal error; the log has it as request 0123456789abcdef."
    else:
        assert shape["message"] == str(error)


def test_upl_16_a_missing_credential_is_asked_for() -> None:
    """401 carries the challenge of RFC 7617, and says that it is UTF-8."""
    answer = answers.answer(errors.Unauthenticated())
    assert answer.headers["www-authenticate"] == 'Basic realm="pypicloud", charset="UTF-8"'


def test_aut_10_what_is_unavailable_says_when_to_come_back() -> None:
    """Retry-After is a whole number of seconds."""
    limited = answers.answer(errors.TooManyAttempts(timedelta(minutes=5)))
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "300")
    assert answers.answer(errors.CacheUnavailable("x")).headers["retry-after"] == "2"
    assert answers.answer(errors.IndexNotReady()).headers["retry-after"] == "5"


def test_what_is_none_of_ours_is_500() -> None:
    """An error outside the tree says nothing of itself."""
    assert answers.answer(RuntimeError("secret"), "abc").status_code == 500
    assert b"secret" not in answers.answer(RuntimeError("secret"), "abc").body
