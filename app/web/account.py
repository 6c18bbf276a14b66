"""What the page of one's account shows of trusted publishers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.access.ledger import Publisher
from app.access.oidc.issuers import Issuer
from app.access.oidc.providers import PROVIDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherView:
    """A trusted publisher. ``pending``: its project does not exist yet."""

    id: str
    project: str
    provider: str
    conditions: Sequence[tuple[str, str]]
    pending: bool
    added: datetime

    @classmethod
    def of(cls, publisher: Publisher) -> PublisherView:
        """The view of a publisher."""
        told = sorted(publisher.conditions.items())
        return cls(
            id=publisher.id,
            project=publisher.project,
            provider=publisher.provider,
            conditions=[(name, value) for name, value in told if value is not None],
            pending=publisher.generation is None,
            added=publisher.added,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderForm:
    """What is asked for to register a publisher at a provider.

    ``issuers`` where there is more than one to choose from.
    """

    provider: str
    title: str
    required: Sequence[str]
    optional: Sequence[str]
    issuers: Sequence[str]


def forms(issuers: Iterable[Issuer]) -> list[ProviderForm]:
    """A form for each provider that an issuer may be of.

    But for ``custom``, whose conditions are claims of any name.
    """
    known = list(issuers)
    made = []
    for provider in PROVIDERS.values():
        fitting = [one.url for one in known if one.provider in (provider.name, None)]
        if fitting and provider.conditions:
            made.append(
                ProviderForm(
                    provider=provider.name,
                    title=provider.kind or provider.name,
                    required=provider.required,
                    optional=[one for one in provider.conditions if one not in provider.required],
                    issuers=fitting if len(fitting) > 1 else (),
                )
            )
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishersView:
    """The publishers that somebody manages; ``known`` False: they cannot be asked for now.

    ``custom``: an issuer is trusted whose publishers no form here can describe.
    """

    known: bool
    publishers: Sequence[PublisherView] = ()
    forms: Sequence[ProviderForm] = ()
    custom: bool = False
