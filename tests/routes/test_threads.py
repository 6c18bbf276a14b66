"""What FastAPI would give to a thread: nothing."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

import app.routes


def calls() -> Iterator[Callable[..., Any]]:
    """Every endpoint of every door, and all that it depends on."""
    for module in pkgutil.iter_modules(app.routes.__path__):
        router = getattr(importlib.import_module(f"app.routes.{module.name}"), "router", None)
        for route in router.routes if router else ():
            if isinstance(route, APIRoute):
                yield from _of(route.dependant)


def _of(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    if dependant.call is not None:
        yield dependant.call
    for needed in dependant.dependencies:
        yield from _of(needed)


def test_no_endpoint_and_no_dependency_is_given_to_a_thread() -> None:
    """A hop to a thread and back costs more than the rest of a small answer."""
    found = list(calls())
    assert len(found) > 500
    assert {call.__qualname__ for call in found if not inspect.iscoroutinefunction(call)} == set()
