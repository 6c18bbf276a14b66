"""Stands in app.testing."""

from app.testing.access import *  # noqa: F403
