"""Routes that several applications have in common."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI

from app.config import Settings
from app.main import create_app
from app.routes.router import Router, install

router = Router()


async def who() -> str:
    """Something to be overridden."""
    return "the provider's"


@router.get("/who")
async def told(found: Annotated[str, Depends(who)]) -> str:
    """What the provider says."""
    return found


def application(folder: Path) -> FastAPI:
    """The service, with one more door."""
    app = create_app(Settings(storage=f"file:{folder}", spool=folder / "spool"))
    install(app, [router])
    return app


async def asked(app: FastAPI) -> str:
    """What an application answers."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/who")
    assert answer.status_code == 200, answer.text
    return str(answer.json())


async def test_what_an_application_overrides_is_its_own(tmp_path: Path) -> None:
    """An override is used by the application that has it, from then until it is taken back."""
    one, other = application(tmp_path / "one"), application(tmp_path / "other")
    assert await asked(one) == "the provider's"
    one.dependency_overrides[who] = lambda: "overridden"
    assert await asked(one) == "overridden"
    assert await asked(other) == "the provider's"
    del one.dependency_overrides[who]
    assert await asked(one) == "the provider's"


def test_routes_are_made_once(tmp_path: Path) -> None:
    """Two applications answer by the very same routes."""
    one, other = application(tmp_path / "one"), application(tmp_path / "other")
    mine = {id(route) for route in one.routes if route not in router.routes}
    assert len(mine & {id(route) for route in other.routes}) > 90


def test_what_answers_look_like_is_described(tmp_path: Path) -> None:
    """Every schema that the description refers to is in it, those of refusals too."""
    told = json.dumps(application(tmp_path).openapi())
    schemas = json.loads(told)["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', told)) <= set(schemas)
    assert set(schemas["Failure"]["properties"]) == {"code", "message"}
    asked = json.loads(told)["paths"]["/api/v1/projects/{project}"]["get"]
    shape = asked["responses"]["404"]["content"]["application/json"]["schema"]
    assert shape == {"$ref": "#/components/schemas/Failure"}
