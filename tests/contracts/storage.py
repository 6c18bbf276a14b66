"""Stands in app.testing."""

from app.testing.storage import *  # noqa: F403
