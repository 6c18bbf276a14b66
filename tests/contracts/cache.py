"""Stands in app.testing."""

from app.testing.cache import *  # noqa: F403
