"""Where in a bucket a storage lies."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import errors
from app.storage import keys
from app.storage.place import MAX_PREFIX, Place, parse


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://packages", Place("packages", "")),
        ("s3://packages/", Place("packages", "")),
        ("gs://packages//", Place("packages", "")),
        ("azure://$web/python", Place("$web", "python/")),
        ("s3://my.bucket_1-x/a/b/", Place("my.bucket_1-x", "a/b/")),
        ("cloudfront://b/with%20space/x", Place("b", "with space/x/")),
        ("s3://b/100%25", Place("b", "100%/")),
        ("s3://b/a%2Fb", Place("b", "a/b/")),
        ("s3://b/what%3F", Place("b", "what?/")),
    ],
)
def test_a_url_names_a_bucket_and_a_prefix(url: str, place: Place) -> None:
    """The prefix may be empty, and else ends in a slash."""
    assert parse(url) == place


@pytest.mark.parametrize(
    "url",
    [
        *("s3:", "s3://", "s3:///prefix", "s3:packages", "s3:/packages", "s3://-b", "s3://b c"),
        *(
            "s3://b?x=1",
            "s3://b/p?x=1",
            "s3://b/p#x",
            "s3://b:9000/p",
            "s3://ü",
            "s3://" + "b" * 256,
        ),
        *("s3://key:secret@b/p", "s3://b\n/p"),
    ],
)
def test_a_url_without_a_bucket(url: str) -> None:
    """One line says what to write; a password in the URL is not repeated."""
    with pytest.raises(errors.Misconfigured, match=r"^[^\n]*s3://BUCKET/PREFIX$") as refused:
        parse(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "path", ["a//b", ".", "..", "a/../b", ".hidden", "%C3%BC", "a%00", "a%0A", "%5C"]
)
def test_a_prefix_that_no_key_has(path: str) -> None:
    """A prefix keeps the grammar of keys."""
    with pytest.raises(errors.Misconfigured, match=r"^[^\n]*prefix that no key can have[^\n]*$"):
        parse(f"s3://packages/{path}")


def test_a_prefix_leaves_room_for_keys() -> None:
    """A prefix is not so long that keys below it could not be stored."""
    segments = "/".join(["p" * 100] * 3)
    assert parse(f"s3://b/{segments[:MAX_PREFIX]}").prefix == f"{segments[:MAX_PREFIX]}/"
    with pytest.raises(errors.Misconfigured, match="longer than 256 bytes"):
        parse(f"s3://b/{segments}")


@given(st.text(st.characters(min_codepoint=0, max_codepoint=0x17F), max_size=40))
def test_any_prefix(prefix: str) -> None:
    """Every prefix of the grammar comes back, and every other is refused."""
    try:
        keys.check(prefix.strip("/"))
    except ValueError:
        if prefix.strip("/"):
            with pytest.raises(errors.Misconfigured):
                parse(f"s3://b/{quote(prefix)}")
    else:
        assert parse(f"s3://b/{quote(prefix)}") == Place("b", f"{prefix.strip('/')}/")
