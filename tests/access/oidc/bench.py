"""One replica's trusted publishing without its doors: a ledger, keys, and projects by name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from packaging.utils import NormalizedName
from ulid import ULID

from app import errors
from app.access.ledger import Ledger, Publisher
from app.access.oidc.conditions import checked
from app.access.oidc.issuers import issuer, table
from app.access.oidc.keyring import Keyring
from app.access.oidc.minting import Admitted, Minting
from app.access.oidc.providers import PROVIDERS
from app.models import Actor
from app.outbound import Outbound
from tests.servers.issuer import Issuer

AUDIENCE = "index.example"
ALICE = Actor(kind="user", id="alice")
GITHUB = {"repository": "Octo/Spam", "workflow": "release.yml"}


def github(**changed: Any) -> dict[str, Any]:
    """What GitHub says of a release of ``octo/spam``."""
    return {
        "aud": AUDIENCE,
        "sub": "repo:octo/spam:environment:release",
        "repository": "octo/spam",
        "repository_id": "1001",
        "repository_owner": "octo",
        "repository_owner_id": "77",
        "repository_visibility": "private",
        "job_workflow_ref": "octo/spam/.github/workflows/release.yml@refs/tags/v1",
        "event_name": "push",
        "ref": "refs/tags/v1",
        "ref_protected": "false",
        "sha": "a" * 40,
        "runner_environment": "github-hosted",
        **changed,
    }


class Bench:
    """A replica. Another one on the same ledger: ``Bench(issuer, bench.ledger)``."""

    def __init__(self, source: Issuer, ledger: Ledger, **options: Any) -> None:
        self.source = source
        self.ledger = ledger
        self.generations: dict[str, str] = {}
        self.later = 0.0
        self.clock = 0.0
        self.keyring = Keyring(Outbound(timeout=2), clock=lambda: time.monotonic() + self.later)
        known = issuer(source.url, **options)
        self.minting = Minting(
            table([known]),
            self.keyring,
            self.ledger,
            audience=AUDIENCE,
            clock=lambda: time.time() + self.clock,
        )

    async def publisher(
        self,
        project: str = "spam",
        provider: str = "github",
        conditions: Mapping[str, str | None] = GITHUB,
        *,
        generation: str | None = "g1",
    ) -> Publisher:
        """Register one; the project is there unless it has no generation."""
        if generation is not None:
            self.generations[project] = generation
        made = Publisher(
            id=str(ULID()),
            project=NormalizedName(project),
            generation=generation,
            provider=provider,
            issuer=self.source.url,
            conditions=checked(PROVIDERS[provider], conditions),
            added=datetime.now(UTC),
            added_by=ALICE,
        )
        await self.ledger.publishers.add(made)
        return made

    def token(self, claims: Mapping[str, Any] | None = None, **how: Any) -> str:
        """A token of the issuer over these claims."""
        return self.source.sign(self.source.claims(**(claims or github())), **how)

    async def admit(self, text: str) -> Admitted:
        """What the token is good for."""

        async def generation(name: NormalizedName) -> str | None:
            return self.generations.get(name)

        return await self.minting.admit(text, generation)

    async def projects(self, claims: Mapping[str, Any] | None = None, **how: Any) -> list[str]:
        """The projects that a token with these claims is good for."""
        return sorted((await self.admit(self.token(claims, **how))).publishers)

    async def refused(self, text: str) -> errors.MintRefused:
        """Why the token is good for nothing."""
        with pytest.raises(errors.MintRefused) as raised:
            await self.admit(text)
        return raised.value

    async def outcomes(self, *texts: str) -> list[str]:
        """``ok`` or the code of each, asked at once."""

        async def outcome(text: str) -> str:
            try:
                await self.admit(text)
            except errors.MintRefused as refused:
                return refused.code
            return "ok"

        return list(await asyncio.gather(*(outcome(text) for text in texts)))
