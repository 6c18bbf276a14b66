"""A presigned URL is the same for half of its life, everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.storage import window

MOMENTS = st.integers(10**15, 7 * 10**15).map(
    lambda microseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)
LIVES = st.timedeltas(timedelta(seconds=2), timedelta(days=7))


@given(MOMENTS, LIVES)
def test_a_url_works_for_half_of_its_life(now: datetime, expires_in: timedelta) -> None:
    """What is signed at the opening has begun, and has half of its life before it."""
    opened = window.opened(now, expires_in)
    whole = timedelta(seconds=int(expires_in.total_seconds()))
    assert opened <= now
    assert opened + whole - now >= whole / 2
    assert opened.microsecond == 0
    assert opened.tzinfo is UTC


@given(MOMENTS, LIVES, st.floats(0, 0.999))
def test_a_window_is_the_same_until_it_closes(
    now: datetime, expires_in: timedelta, share: float
) -> None:
    """Whoever asks between opening and closing gets one answer; from the closing on, another."""
    opened, closes = window.opened(now, expires_in), window.closes(now, expires_in)
    assert opened <= now < closes
    assert window.opened(opened, expires_in) == opened
    assert window.opened(opened + share * (closes - opened), expires_in) == opened
    assert window.opened(closes, expires_in) == closes


@pytest.mark.parametrize(
    ("life", "opened", "closes"),
    [(300, "12:02:30", "12:05:00"), (301, "12:02:30", "12:05:00"), (2, "12:03:59", "12:04:00")],
)
def test_windows_are_counted_from_1970(life: int, opened: str, closes: str) -> None:
    """Five minutes are two windows of two and a half, in every time zone."""
    now = datetime(2026, 11, 24, 12, 3, 59, 999_999, UTC)
    expires_in = timedelta(seconds=life)
    assert f"{window.opened(now, expires_in):%H:%M:%S}" == opened
    assert f"{window.closes(now, expires_in):%H:%M:%S}" == closes
    elsewhere = now.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert window.opened(elsewhere, expires_in) == window.opened(now, expires_in)


@pytest.mark.parametrize(
    ("query", "ends"),
    [
        ("X-Amz-Date=20261124T120230Z&X-Amz-Expires=90&X-Amz-Signature=0", "12:04:00"),
        ("X-Goog-Date=20261124T120230Z&X-Goog-Expires=300&X-Goog-Signature=0", "12:07:30"),
        ("se=2026-11-24T12%3A05%3A00Z&sp=r&sv=2026-02-06&sig=0", "12:05:00"),
        ("Expires=1795521900&Signature=0&Key-Pair-Id=K", "12:05:00"),
        ("Policy=eyJ9&Signature=0&Key-Pair-Id=K", None),
        ("Expires=soon", None),
        ("se=soon", None),
        ("X-Amz-Date=20261124T120230Z", None),
        ("X-Amz-Date=today&X-Amz-Expires=90", None),
        ("Expires=99999999999999999999", None),
        ("", None),
    ],
)
def test_when_a_url_ends(query: str, ends: str | None) -> None:
    """The URLs of S3, Google, Azure and CloudFront say when; what does not say so has no end."""
    found = window.ends(f"https://store.example/a?{query}")
    assert (found and f"{found:%Y-%m-%d %H:%M:%S %Z}") == (ends and f"2026-11-24 {ends} UTC")
