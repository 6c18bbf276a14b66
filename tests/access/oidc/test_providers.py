"""Which claims fit which publisher, for every kind of provider (steps 8 to 12)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from app import errors
from app.access.ledger import Ledger
from app.access.oidc.conditions import checked
from app.access.oidc.providers import PROVIDERS
from tests.access.oidc.bench import AUDIENCE, GITHUB, Bench, github
from tests.servers.issuer import Issuer

Claims = dict[str, Any]


def gitlab(host: str, **changed: Any) -> Claims:
    """What GitLab says of a pipeline of ``group/sub/spam``."""
    return {
        "aud": AUDIENCE,
        "sub": "project_path:group/sub/spam:ref_type:tag:ref:v1",
        "project_path": "group/sub/spam",
        "project_id": "2001",
        "namespace_id": "88",
        "namespace_path": "group/sub",
        "ci_config_ref_uri": f"{host}/group/sub/spam//.gitlab-ci.yml@refs/tags/v1",
        "ref": "v1",
        "ref_path": "refs/tags/v1",
        "ref_protected": "true",
        "sha": "b" * 40,
        "environment": "release",
        **changed,
    }


OTHERS: dict[str, tuple[dict[str, str], Claims, list[Claims]]] = {
    "google": (
        {"email": "ci@octo.iam.example", "sub": "4711"},
        {"email": "ci@octo.iam.example", "email_verified": True, "sub": "4711", "jti": None},
        [
            {"email": "evil@octo.iam.example"},
            {"email": "CI@octo.iam.example"},
            {"email_verified": False},
            {"email_verified": "true"},
            {"email_verified": 1},
            {"email_verified": None},
            {"sub": "4712"},
            {"email": ["ci@octo.iam.example"]},
        ],
    ),
    "activestate": (
        {"organization": "octo", "project": "spam", "actor_id": "a-1"},
        {
            "sub": "org:octo:project:spam",
            "organization": "octo",
            "project": "spam",
            "actor_id": "a-1",
            "builder": "pypi-publisher",
            "organization_id": "o-1",
        },
        [
            {"sub": "org:octo:project:eggs"},
            {"sub": "org:evil:project:spam", "organization": "evil"},
            {"project": "eggs", "sub": "org:octo:project:eggs"},
            {"actor_id": "a-2"},
            {"builder": "another"},
            {"builder": None},
            {"organization_id": "o-2"},
        ],
    ),
    "buildkite": (
        {"organization_slug": "octo", "pipeline_slug": "spam", "build_branch": "release-*"},
        {
            "organization_slug": "octo",
            "pipeline_slug": "spam",
            "build_branch": "release-1",
            "organization_id": "o-1",
            "pipeline_id": "p-1",
        },
        [
            {"organization_slug": "evil"},
            {"pipeline_slug": "eggs"},
            {"build_branch": "main"},
            {"build_branch": None},
            {"pipeline_id": "p-2"},
            {"organization_id": None},
        ],
    ),
    "circleci": (
        {"project_id": "c-1", "context_id": "x-1", "vcs_ref": "refs/heads/main"},
        {
            "oidc.circleci.com/project-id": "c-1",
            "oidc.circleci.com/context-ids": ["x-0", "x-1"],
            "oidc.circleci.com/vcs-ref": "refs/heads/main",
        },
        [
            {"oidc.circleci.com/project-id": "c-2"},
            {"oidc.circleci.com/context-ids": ["x-0"]},
            {"oidc.circleci.com/context-ids": "x-1"},
            {"oidc.circleci.com/context-ids": None},
            {"oidc.circleci.com/vcs-ref": "refs/heads/evil"},
            {"oidc.circleci.com/vcs-ref": None},
        ],
    ),
    "kubernetes": (
        {"namespace": "ci", "service_account": "publisher"},
        {
            "sub": "system:serviceaccount:ci:publisher",
            "kubernetes.io": {"namespace": "ci", "serviceaccount": {"uid": "u-1"}},
        },
        [
            {"sub": "system:serviceaccount:ci:other"},
            {"sub": "system:serviceaccount:other:publisher"},
            {"sub": "publisher"},
            {"kubernetes.io": {"serviceaccount": {"uid": "u-2"}}},
            {"kubernetes.io": None},
            {"kubernetes.io": "u-1"},
            {"kubernetes.io": {"serviceaccount": ["u-1"]}},
        ],
    ),
    "custom": (
        {"sub": "robot", "team": "release", "trusted": "true"},
        {"sub": "robot", "team": "release", "trusted": True},
        [
            {"sub": "another"},
            {"team": "Release"},
            {"team": ["release"]},
            {"team": None},
            {"trusted": False},
            {"sub": None},
        ],
    ),
}


async def test_github_admits_the_workflow_that_was_registered(bench: Bench) -> None:
    """Names of owners and repositories in any case, by ref or by commit."""
    await bench.publisher()
    by_commit = github(job_workflow_ref=f"octo/spam/.github/workflows/release.yml@{'a' * 40}")
    other_case = github(
        repository="OCTO/Spam",
        repository_owner="Octo",
        job_workflow_ref="OCTO/spam/.github/workflows/release.yml@refs/tags/v1",
    )
    for claims in (github(), by_commit, other_case):
        assert await bench.projects(claims) == ["spam"]


@pytest.mark.parametrize(
    "changed",
    [
        {"repository": "octo/eggs"},
        {"repository": "evil/spam"},
        {"repository_owner": "evil"},
        {"repository_owner": None},
        {"repository": None},
        {"repository": ["octo/spam"]},
        {"repository_id": None},
        {"repository_owner_id": None},
        {"repository_owner_id": 77},
        {"job_workflow_ref": None},
        {"job_workflow_ref": "octo/spam/.github/workflows/other.yml@refs/tags/v1"},
        {"job_workflow_ref": "octo/spam/.github/workflows/Release.yml@refs/tags/v1"},
        {"job_workflow_ref": "evil/spam/.github/workflows/release.yml@refs/tags/v1"},
        {"job_workflow_ref": "octo/spam/.github/workflows/release.yml@refs/heads/evil"},
        {"job_workflow_ref": "octo/spam/.github/workflows/release.yml@"},
        {"job_workflow_ref": "octo/spam/.github/workflows/release.yml"},
        {"job_workflow_ref": "octo/spam/.github/workflows/x/release.yml@refs/tags/v1"},
        {"job_workflow_ref": "evil/x/octo/spam/.github/workflows/release.yml@refs/tags/v1"},
        {"job_workflow_ref": "octo/spam/.github/workflows/release.yml@refs/tags/v1@refs/tags/v1"},
        {"event_name": "pull_request_target"},
        {"event_name": None},
        {"ref": None},
        {"sha": None},
    ],
)
async def test_github_refuses_whatever_differs(bench: Bench, changed: Claims) -> None:
    """Another repository, workflow or ref, or the event that runs strangers' code."""
    await bench.publisher()
    assert (await bench.refused(bench.token(github(**changed)))).code == "invalid-publisher"


@pytest.mark.parametrize(
    ("condition", "right", "wrong"),
    [
        ("environment", ["release", "Release"], ["staging", None, ["release"], ""]),
        ("ref", ["refs/tags/v1"], ["refs/heads/v1"]),
        ("ref_protected", ["true"], ["false", None]),
        ("runner_environment", ["github-hosted"], ["self-hosted", None]),
    ],
)
async def test_github_conditions_that_were_set_must_be_met(
    bench: Bench, condition: str, right: list[Any], wrong: list[Any]
) -> None:
    """The environment, a pattern for the ref, protection, and where it runs."""
    pattern = "refs/tags/*" if condition == "ref" else right[0]
    await bench.publisher(conditions={**GITHUB, condition: pattern})

    def claims(value: Any) -> Claims:
        moved = {"job_workflow_ref": f"octo/spam/.github/workflows/release.yml@{value}"}
        return github(**{condition: value}, **(moved if condition == "ref" else {}))

    for value in right:
        assert await bench.projects(claims(value)) == ["spam"]
    for value in wrong:
        assert (await bench.refused(bench.token(claims(value)))).code == "invalid-publisher"


async def test_step_10_a_repository_that_was_made_anew_is_another(bench: Bench) -> None:
    """Names can be taken again; the ids of the first use must be the same ever after."""
    publisher = await bench.publisher()
    assert await bench.projects() == ["spam"]
    kept = await bench.ledger.publishers.find(publisher.id)
    assert kept is not None
    assert kept.pinned == {"repository_id": "1001", "repository_owner_id": "77"}
    for changed in ({"repository_id": "1002"}, {"repository_owner_id": "78"}):
        assert (await bench.refused(bench.token(github(**changed)))).code == "invalid-publisher"
    assert await bench.projects() == ["spam"]


async def test_step_10_ids_may_be_named_at_registration(bench: Bench) -> None:
    """Then even the first use is by the right repository."""
    await bench.publisher(conditions={**GITHUB, "repository_id": "1002"})
    assert (await bench.refused(bench.token())).code == "invalid-publisher"
    assert await bench.projects(github(repository_id="1002")) == ["spam"]


async def test_step_10_of_two_first_uses_one_counts(issuer: Issuer, ledger: Ledger) -> None:
    """On two replicas at once, the ids of one are kept, and the other is refused."""
    one = Bench(issuer, ledger)
    two = Bench(issuer, ledger)
    await one.publisher()
    two.generations = one.generations
    found = await asyncio.gather(
        one.outcomes(one.token()), two.outcomes(two.token(github(repository_id="1002")))
    )
    assert sorted(found[0] + found[1]) == ["invalid-publisher", "ok"]


@pytest.mark.parametrize("own", [False, True])
async def test_gitlab_admits_the_pipeline_that_was_registered(
    issuer: Issuer, ledger: Ledger, own: bool
) -> None:
    """At the public service and at an installation of one's own."""
    bench = Bench(issuer, ledger, provider="gitlab" if own else None)
    host = issuer.url.partition("://")[2]
    conditions = {
        "project": "Group/sub/Spam",
        "workflow": ".gitlab-ci.yml",
        "environment": "release",
        "ref_protected": "true",
        "ref": "v*",
    }
    await bench.publisher(provider="gitlab", conditions=conditions)
    assert await bench.projects(gitlab(host)) == ["spam"]
    commit = f"{host}/group/sub/spam//.gitlab-ci.yml@{'b' * 40}"
    assert await bench.projects(gitlab(host, ci_config_ref_uri=commit)) == ["spam"]
    for changed in (
        {"project_path": "group/sub/eggs"},
        {"sub": "project_path:group/sub/spam-evil:ref"},
        {"sub": "group/sub/spam"},
        {"ci_config_ref_uri": f"{host}/group/sub/spam//other.yml@refs/tags/v1"},
        {"ci_config_ref_uri": f"{host}/group/sub/spam//.gitlab-ci.yml@refs/tags/v2"},
        {"ci_config_ref_uri": "evil.example/group/sub/spam//.gitlab-ci.yml@refs/tags/v1"},
        {"ci_config_ref_uri": f"{host}/evil/spam//.gitlab-ci.yml@refs/tags/v1"},
        {"environment": "staging"},
        {"environment": None},
        {"ref_protected": "false"},
        {"ref": "main"},
        {"project_id": "2002"},
        {"namespace_id": "89"},
        {"project_id": None},
        {"jti": None},
        {"sha": None},
    ):
        text = bench.token(gitlab(host, **changed))
        assert (await bench.refused(text)).code == "invalid-publisher", changed


@pytest.mark.parametrize("provider", OTHERS)
async def test_other_providers(issuer: Issuer, ledger: Ledger, provider: str) -> None:
    """What was registered is admitted; whatever differs in one claim is not."""
    conditions, claims, wrong = OTHERS[provider]
    bench = Bench(issuer, ledger, provider=provider)
    await bench.publisher(provider=provider, conditions=conditions)
    good = {"aud": AUDIENCE, **claims}
    assert await bench.projects(good) == ["spam"]
    for changed in wrong:
        refused = await bench.refused(bench.token({**good, **changed}))
        assert refused.code == "invalid-publisher", changed
    assert await bench.projects({**good, "again": True}) == ["spam"]


async def test_step_9_publishers_of_one_issuer_are_not_those_of_another(
    issuer: Issuer, ledger: Ledger
) -> None:
    """The same claims from another issuer, or of another kind, admit to nothing."""
    bench = Bench(issuer, ledger, provider="github")
    elsewhere = Bench(issuer, ledger)
    await bench.publisher()
    elsewhere.generations = bench.generations
    as_gitlab = Bench(issuer, ledger, provider="gitlab")
    as_gitlab.generations = bench.generations
    assert (await as_gitlab.refused(as_gitlab.token())).code == "invalid-publisher"
    assert await elsewhere.projects() == ["spam"]


async def test_step_9_the_most_specific_publisher_of_a_project_counts(bench: Bench) -> None:
    """Of one that names the environment and one that does not, the first."""
    general = await bench.publisher()
    special = await bench.publisher(conditions={**GITHUB, "environment": "release"})
    for claims, wanted in ((github(environment="release"), special), (github(), general)):
        admitted = await bench.admit(bench.token(claims))
        assert [one.id for one in admitted.publishers.values()] == [wanted.id]


async def test_a_workflow_may_publish_several_projects(bench: Bench) -> None:
    """Each has a publisher of its own; others of the index are not reached."""
    await bench.publisher("spam")
    await bench.publisher("eggs")
    await bench.publisher("ham", conditions={**GITHUB, "workflow": "other.yml"})
    assert await bench.projects() == ["eggs", "spam"]


async def test_a_pending_publisher_waits_for_a_name_that_is_free(bench: Bench) -> None:
    """Once somebody else has taken the name, it is good for nothing."""
    await bench.publisher(generation=None)
    assert await bench.projects() == ["spam"]
    bench.generations["spam"] = "g1"
    assert (await bench.refused(bench.token())).code == "invalid-pending-publisher"


async def test_a_publisher_ends_with_its_project(bench: Bench) -> None:
    """A project of the same name that comes later is another."""
    await bench.publisher()
    for generation in (None, "g2"):
        bench.generations = {"spam": generation} if generation else {}
        assert (await bench.refused(bench.token())).code == "invalid-publisher"


@pytest.mark.parametrize(
    ("provider", "conditions"),
    [
        ("github", {}),
        ("github", {"repository": "octo/spam"}),
        ("github", {"workflow": "release.yml"}),
        ("github", {"repository": "spam", "workflow": "release.yml"}),
        ("github", {"repository": "octo/spam/x", "workflow": "release.yml"}),
        ("github", {"repository": "octo/*", "workflow": "release.yml"}),
        ("github", {"repository": "octo/spam", "workflow": "release"}),
        ("github", {"repository": "octo/spam", "workflow": "x/release.yml"}),
        ("github", {**GITHUB, "colour": "blue"}),
        ("github", {**GITHUB, "environment": "a\nb"}),
        ("github", {**GITHUB, "environment": "x" * 257}),
        ("github", {**GITHUB, "ref_protected": "yes"}),
        ("gitlab", {"project": "spam", "workflow": ".gitlab-ci.yml"}),
        ("gitlab", {"project": "group/../spam", "workflow": ".gitlab-ci.yml"}),
        ("gitlab", {"project": "group/spam", "workflow": "/etc/passwd"}),
        ("google", {"email": "nobody"}),
        ("custom", {}),
        ("custom", {"team": "release"}),
        ("custom", {"sub": "x", "aud": "y"}),
        ("custom", {"sub": "x", "iss": "y"}),
        ("custom", {"sub": "\x7f"}),
        ("custom", {str(number): "x" for number in range(21)}),
    ],
)
def test_conditions_that_cannot_be_are_refused(
    provider: str, conditions: Mapping[str, str | None]
) -> None:
    """When a publisher is registered, not when it is used."""
    with pytest.raises(errors.Invalid):
        checked(PROVIDERS[provider], conditions)


def test_conditions_without_a_value_are_left_out() -> None:
    """An environment that is null or empty is none."""
    assert checked(PROVIDERS["github"], {**GITHUB, "environment": None, "ref": ""}) == GITHUB
