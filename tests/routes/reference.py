"""``docs/http-api.md``, made from the doors as they are: ``python -m tests.routes.reference``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.config import Settings
from app.main import create_app

MANUAL = Path(__file__).parents[2] / "docs" / "http-api.md"
HEAD = """\
# The HTTP API, request by request

This page is made from the code, as `/openapi.json` and `/docs` of a running service are; a test
compares. Other tests make requests up from it, and hold what is answered against it.
[The API](api.md) says who may do what, and [the Simple API](simple.md), [uploads](upload.md),
[tokens](tokens.md) and [trusted publishing](trusted-publishing.md) say more.

Credentials are a name with a password, or `__token__` with a token, by Basic authentication; a
token may be sent as `Bearer` too. Where it is not said otherwise, a refusal is a
[Failure](#failure): 400 for a request that is wrong, 401 without a proof of who asks, 403 without
the right, 404 for what is not there, 429 too often and 503 for what will work later, both with
`Retry-After`.
"""
_TITLES = {"json": "JSON API", "api": "Projects and upkeep", "simple": "Simple API"}
_EXPECTED = frozenset({"400", "401", "403", "404", "429", "503"})
_SAID = re.compile(r"Successful Response|Validation Error")


def manual() -> str:
    """The whole page."""
    described: dict[str, Any] = create_app(Settings(docs=True)).openapi()
    schemas = described["components"]["schemas"]
    sections: dict[str, list[str]] = {}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            lines = sections.setdefault(operation["tags"][0], [])
            lines += _operation(f"{method.upper()} {path}", operation)
    lines = [HEAD]
    for tag, found in sections.items():
        lines += [f"## {_TITLES.get(tag, tag.capitalize())}\n", *found]
    lines.append("## What is sent and answered\n")
    for name in sorted(schemas):
        lines += _schema(name, schemas[name])
    return "\n".join(lines).rstrip() + "\n"


def _operation(request: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {operation['summary'].rstrip('?')}\n"
    yield f"    {request}\n"
    if text := _text(operation.get("description")):
        yield text + "\n"
    rows = [
        (f"`{one['name']}`", _kind(one["schema"]), one["in"], _about(one.get("schema", {}), one))
        for one in operation.get("parameters", ())
    ]
    if rows:
        yield "| parameter | | in | |\n| --- | --- | --- | --- |"
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body: `{kind}`, {_kind(body.get('schema', {}))}\n"
    yield "| answer | |\n| --- | --- |"
    for status, answer in sorted(operation["responses"].items()):
        kinds = answer.get("content", {})
        told = ", ".join(
            f"`{kind}`: {_kind(one['schema'])}" if one.get("schema") else f"`{kind}`"
            for kind, one in kinds.items()
        )
        if status in _EXPECTED and "Failure" in told:
            continue
        said = _SAID.sub("", _text(answer.get("description")))
        yield f"| {status} | {' '.join(filter(None, (said, told))) or 'nothing'} |"
    yield ""


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if text := _text(schema.get("description")):
        yield text + "\n"
    if values := schema.get("enum"):
        yield "One of " + ", ".join(f"`{value}`" for value in values) + ".\n"
    required = schema.get("required", ())
    rows = [
        (f"`{field}`", _kind(one), "" if field in required else "may be left out", _about(one, {}))
        for field, one in schema.get("properties", {}).items()
    ]
    if rows:
        yield "| | | | |\n| --- | --- | --- | --- |"
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""


def _kind(schema: dict[str, Any]) -> str:
    """What a value is, with links to what is described below."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if others := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return " or ".join(dict.fromkeys(map(_kind, others)))
    if "const" in schema:
        return f"`{schema['const']}`"
    if values := schema.get("enum"):
        return ", ".join(f"`{value}`" for value in values)
    kind: str = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object" and isinstance(inner := schema.get("additionalProperties"), dict):
        return f"object of {_kind(inner)}"
    return f"{kind} ({schema['format']})" if "format" in schema else kind


def _about(schema: dict[str, Any], parameter: dict[str, Any]) -> str:
    said = [_text(parameter.get("description") or schema.get("description"))]
    bounds = (
        ("default", "`{}` by default"),
        ("minimum", "at least {}"),
        ("maximum", "at most {}"),
        ("minLength", "at least {} characters"),
        ("maxLength", "at most {} characters"),
        ("maxItems", "at most {} of them"),
    )
    said += [form.format(_number(schema[key])) for key, form in bounds if schema.get(key)]
    return "; ".join(filter(None, said))


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(text: str | None) -> str:
    return " ".join((text or "").split()).replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    MANUAL.write_text(manual(), encoding="utf-8")
