"""A door's routes, made once for all applications of a process.

``FastAPI.include_router`` makes each route a second time when the first request comes, which
costs that request half a second and every application as much; ``install`` hands over those
that are there. What an application overrides (``app.dependency_overrides``) holds all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

Overrides = dict[Callable[..., Any], Callable[..., Any]]

overridden: ContextVar[Overrides | None] = ContextVar("overridden", default=None)
"""The dependency_overrides of the application that answers."""


class _Answering:
    """What FastAPI asks for overrides."""

    @property
    def dependency_overrides(self) -> Overrides:
        return overridden.get() or {}


class Router(APIRouter):
    """As fastapi.APIRouter. Its routes belong to every application that they are installed in.

    The models of ``responses`` are named in the description, and made when that is asked for
    (``described``): each would be made for each route otherwise, a third of the time to start.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(dependency_overrides_provider=_Answering(), **options)

    def add_api_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        responses: Mapping[int | str, dict[str, Any]] | None = None,
        **options: Any,
    ) -> None:
        """As fastapi.APIRouter does it."""
        named = {
            code: _named(told) for code, told in {**self.responses, **(responses or {})}.items()
        }
        super().add_api_route(path, endpoint, responses=named, **options)


_NAMED: dict[str, type[BaseModel]] = {}
_PLACE = "#/components/schemas/"


def _named(told: dict[str, Any]) -> dict[str, Any]:
    model = told.get("model")
    if model is None:
        return told
    if _NAMED.setdefault(model.__name__, model) is not model:
        raise TypeError(f"two models are called {model.__name__}")
    content = {"application/json": {"schema": {"$ref": _PLACE + model.__name__}}}
    return {**{key: value for key, value in told.items() if key != "model"}, "content": content}


def described() -> dict[str, Any]:
    """The schemas of the models that responses of routers were given, by their names."""
    models = [(model, "serialization") for model in _NAMED.values()]
    _, told = models_json_schema(models, ref_template=_PLACE + "{model}")  # type: ignore[arg-type]
    return dict(told.get("$defs", {}))


def install(app: FastAPI, routers: Iterable[Router]) -> None:
    """Have the application answer at these doors, in this order."""
    for router in routers:
        app.router.routes.extend(router.routes)
