"""Requests made up from the description of the service, and what it answers to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok

from tests.conformance.site import ADMIN, READER, Site, serving
from tests.factories import make_sdist

EXAMPLES = 150 if os.environ.get("SOAK") == "1" else 8
WHO = {"admin": ADMIN, "reader": READER, "anonymous": None}
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service that may be spoiled."""
    with serving(tmp_path_factory.mktemp("described")) as running:
        for name in ("holygrail", "a", "0"):
            running.release(name)
            running.publish(make_sdist(name), name)
        yield running


@pytest.fixture(scope="module")
def operations(described: Site) -> list[Any]:
    """All that the description has."""
    schema = schemathesis.openapi.from_dict(described.get("/openapi.json").json())
    found = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    assert len(found) == len(list(schema.get_all_operations()))
    return found


def test_the_description_names_the_doors(operations: list[Any]) -> None:
    """Everything that a person or a script may ask for is described."""
    paths = {operation.path for operation in operations}
    assert {"/simple/", "/simple/{project}/", "/files/{project}/{filename}", "/legacy/",
            "/pypi/{project}/json", "/api/v1/projects", "/health/ready"} <= paths  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("who", WHO)
def test_no_request_breaks_it(described: Site, operations: list[Any], who: str) -> None:
    """Whatever fits the description or does not: no 5xx, and answers as described."""
    checks = [CHECKS.get_one(name) for name in CHECKED]
    wrong: list[str] = []
    with _session() as session:
        session.auth = WHO[who]
        for operation in operations:
            for mode in (
                schemathesis.GenerationMode.POSITIVE,
                schemathesis.GenerationMode.NEGATIVE,
            ):
                wrong += _try(described, operation, mode, session, checks)
    assert not wrong, "\n".join(sorted(set(wrong)))


def _try(
    described: Site, operation: Any, mode: Any, session: requests.Session, checks: list[Any]
) -> list[str]:
    """What was wrong with the answers of one operation."""
    wrong: list[str] = []

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def tried(case: Any) -> None:
        response = case.call(
            base_url=f"http://127.0.0.1:{described.port}", session=session, timeout=20
        )
        for check in checks:
            try:
                case.validate_response(response, checks=[check])
            except schemathesis.errors.SchemathesisError:
                raise
            except BaseExceptionGroup as failures:
                titles = {getattr(one, "title", str(one)) for one in failures.exceptions}
                wrong.append(f"{operation.label}: {response.status_code}: {', '.join(titles)}")

    try:
        tried()
    except Exception as error:
        if type(error).__name__ not in ("Unsatisfiable", "SkipTest"):
            raise
    return wrong


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session
