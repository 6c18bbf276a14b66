"""Where builds run, and what their tokens say of them: one entry for each kind of provider.

A provider knows which conditions a publisher may set, which claims a token must have, and
whether the claims meet the conditions. ``pins`` are ids that never change, unlike names: they
are kept when a publisher is first used, and must be the same ever after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from app.access.oidc import conditions
from app.access.oidc.conditions import Check

Claims = Mapping[str, Any]
Conditions = Mapping[str, str | None]
Meets = Callable[[Conditions, Claims, str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One kind of provider.

    ``conditions``: how each is checked when a publisher is registered; ``required`` of them
    cannot be left out. ``claims`` must be in a token, as strings. ``listed``: its tokens have
    their one audience in a list. ``numbered``: its tokens have an id (``jti``).
    """

    name: str
    conditions: Mapping[str, Check]
    required: tuple[str, ...]
    claims: tuple[str, ...]
    meets: Meets
    pins: tuple[str, ...] = ()
    listed: bool = False
    numbered: bool = False
    kind: str = field(default="")
    """What attestations call it; empty: they do not know it."""

    def complete(self, claims: Claims) -> bool:
        """Whether a token has what tokens of this provider always have (step 8)."""
        needed = (*self.claims, *(("jti",) if self.numbered else ()))
        return all(isinstance(claims.get(name), str) and claims[name] for name in needed)

    def ids(self, claims: Claims) -> Mapping[str, str]:
        """The ids to pin: those that the token has."""
        return {name: str(claims[name]) for name in self.pins if claims.get(name)}


def _github(wanted: Conditions, claims: Claims, issuer: str) -> bool:
    repository = str(wanted["repository"])
    file, _, ref = claims["job_workflow_ref"].rpartition("@")
    path = f"/.github/workflows/{wanted['workflow']}"
    return (
        _same(claims["repository"], repository)
        and _same(claims["repository_owner"], repository.partition("/")[0])
        and file.endswith(path)
        and _same(file.removesuffix(path), repository)
        and ref in (claims["ref"], claims["sha"])
        and claims["event_name"] != "pull_request_target"
        and _folded(wanted, claims, "environment")
        and _exact(wanted, claims, "runner_environment")
        and _exact(wanted, claims, "ref_protected")
        and _pattern(wanted, claims, "ref")
        and _exact(wanted, claims, "repository_id")
        and _exact(wanted, claims, "repository_owner_id")
    )


def _gitlab(wanted: Conditions, claims: Claims, issuer: str) -> bool:
    project = str(wanted["project"])
    host = issuer.partition("://")[2]
    file, _, ref = claims["ci_config_ref_uri"].rpartition("@")
    path = f"//{wanted['workflow']}"
    return (
        _same(claims["project_path"], project)
        and claims["sub"].lower().startswith(f"project_path:{project.lower()}:")
        and file.endswith(path)
        and _same(file.removesuffix(path), f"{host}/{project}")
        and ref in (claims["ref_path"], claims["sha"])
        and _folded(wanted, claims, "environment")
        and _exact(wanted, claims, "ref_protected")
        and _pattern(wanted, claims, "ref")
        and _exact(wanted, claims, "project_id")
        and _exact(wanted, claims, "namespace_id")
    )


def _google(wanted: Conditions, claims: Claims, issuer: str) -> bool:
    return (
        claims["email"] == wanted["email"]
        and claims.get("email_verified") is True
        and _exact(wanted, claims, "sub")
    )


def _activestate(wanted: Conditions, claims: Claims, issuer: str) -> bool:
    return bool(
        claims["sub"] == f"org:{claims['organization']}:project:{claims['project']}"
        and claims["builder"] == "pypi-publisher"
        and claims["organization"] == wanted["organization"]
        and claims["project"] == wanted["project"]
        and claims["actor_id"] == wanted["actor_id"]
    )


def _buildkite(wanted: Conditions, claims: Claims, issuer: str) -> bool:
    return (
        claims["organization_slug"] == wanted["organization_slug"]
        and claims["pipeline_slug"] == wanted["pipeline_slug"]
        and _pattern(wanted, claims, "build_branch")
        and _exact(wanted, claims, "step_key")
    )


_CIRCLE = "oidc.circleci.com/"


def _circleci(wanted: Conditions, claims: Claims, issuer: str) -> bool:
    contexts = claims.get(f"{_CIRCLE}context-ids")
    context = wanted.get("context_id")
    return (
        claims[f"{_CIRCLE}project-id"] == wanted["project_id"]
        and (context is None or (isinstance(contexts, list) and context in contexts))
        and wanted.get("vcs_origin") in (None, claims.get(f"{_CIRCLE}vcs-origin"))
        and _matches(wanted.get("vcs_ref"), claims.get(f"{_CIRCLE}vcs-ref"))
    )


def _kubernetes(wanted: Conditions, claims: Claims, issuer: str) -> bool:
    account = f"system:serviceaccount:{wanted['namespace']}:{wanted['service_account']}"
    return bool(claims["sub"] == account) and wanted.get("uid") in (None, service_account(claims))


def service_account(claims: Claims) -> str | None:
    """The id of the service account that a Kubernetes token is of."""
    inner = claims.get("kubernetes.io")
    account = inner.get("serviceaccount") if isinstance(inner, dict) else None
    uid = account.get("uid") if isinstance(account, dict) else None
    return uid if isinstance(uid, str) else None


def _custom(wanted: Conditions, claims: Claims, issuer: str) -> bool:
    return bool(wanted) and all(_scalar(claims.get(name)) == text for name, text in wanted.items())


def _scalar(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None


def _same(one: object, other: str) -> bool:
    return isinstance(one, str) and one.lower() == other.lower()


def _exact(wanted: Conditions, claims: Claims, name: str) -> bool:
    text = wanted.get(name)
    return text is None or _scalar(claims.get(name)) == text


def _folded(wanted: Conditions, claims: Claims, name: str) -> bool:
    text = wanted.get(name)
    return text is None or _same(claims.get(name), text)


def _pattern(wanted: Conditions, claims: Claims, name: str) -> bool:
    return _matches(wanted.get(name), claims.get(name))


def _matches(pattern: str | None, found: object) -> bool:
    return pattern is None or (isinstance(found, str) and fnmatchcase(found, pattern))


class _Kubernetes(Provider):
    """Its ids are within a claim."""

    __slots__ = ()

    def ids(self, claims: Claims) -> Mapping[str, str]:
        uid = service_account(claims)
        return {"uid": uid} if uid else {}


_TEXT, _FLAG = conditions.text, conditions.flag
PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider(
            name="github",
            kind="GitHub",
            conditions={
                "repository": conditions.repository,
                "workflow": conditions.workflow,
                **dict.fromkeys(("environment", "ref", "runner_environment"), _TEXT),
                **dict.fromkeys(("repository_id", "repository_owner_id"), _TEXT),
                "ref_protected": _FLAG,
            },
            required=("repository", "workflow"),
            claims=(
                *("repository", "repository_id", "repository_owner", "repository_owner_id"),
                *("job_workflow_ref", "event_name", "ref", "sha"),
            ),
            pins=("repository_id", "repository_owner_id"),
            numbered=True,
            meets=_github,
        ),
        Provider(
            name="gitlab",
            kind="GitLab",
            conditions={
                "project": conditions.gitlab_project,
                "workflow": conditions.gitlab_workflow,
                **dict.fromkeys(("environment", "ref", "project_id", "namespace_id"), _TEXT),
                "ref_protected": _FLAG,
            },
            required=("project", "workflow"),
            claims=(
                *("sub", "project_path", "project_id", "namespace_id"),
                *("ci_config_ref_uri", "ref_path", "sha"),
            ),
            pins=("project_id", "namespace_id"),
            numbered=True,
            meets=_gitlab,
        ),
        Provider(
            name="google",
            kind="Google",
            conditions={"email": conditions.email, "sub": _TEXT},
            required=("email",),
            claims=("email", "sub"),
            pins=("sub",),
            meets=_google,
        ),
        Provider(
            name="activestate",
            conditions=dict.fromkeys(("organization", "project", "actor_id"), _TEXT),
            required=("organization", "project", "actor_id"),
            claims=("sub", "organization", "project", "actor_id", "builder"),
            pins=("organization_id", "project_id"),
            meets=_activestate,
        ),
        Provider(
            name="buildkite",
            conditions=dict.fromkeys(
                ("organization_slug", "pipeline_slug", "build_branch", "step_key"), _TEXT
            ),
            required=("organization_slug", "pipeline_slug"),
            claims=("organization_slug", "pipeline_slug"),
            pins=("organization_id", "pipeline_id"),
            meets=_buildkite,
        ),
        Provider(
            name="circleci",
            conditions=dict.fromkeys(("project_id", "context_id", "vcs_origin", "vcs_ref"), _TEXT),
            required=("project_id",),
            claims=(f"{_CIRCLE}project-id",),
            meets=_circleci,
        ),
        _Kubernetes(
            name="kubernetes",
            conditions=dict.fromkeys(("namespace", "service_account", "uid"), _TEXT),
            required=("namespace", "service_account"),
            claims=("sub",),
            listed=True,
            meets=_kubernetes,
        ),
        Provider(name="custom", conditions={}, required=(), claims=("sub",), meets=_custom),
    )
}
