"""The issuers whose tokens are looked at: a table, with exact strings as its keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.com"
GOOGLE = "https://accounts.google.com"
ACTIVESTATE = "https://platform.activestate.com/api/v1/oauth/oidc"
BUILDKITE = "https://agent.buildkite.com"
CIRCLECI = "https://oidc.circleci.com/org/"

_PROVIDERS = {
    GITHUB: "github",
    GITLAB: "gitlab",
    GOOGLE: "google",
    ACTIVESTATE: "activestate",
    BUILDKITE: "buildkite",
}
PUBLIC = tuple(_PROVIDERS)
"""Those that everybody may use; CircleCI's are one for each organisation."""
_JWKS = {GOOGLE: "https://www.googleapis.com/oauth2/v3/certs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """One issuer, and how it is asked.

    ``provider`` None: publishers say which (``custom``, or a service's own installation).
    ``jwks_uri`` None: discovered, and then at the issuer's own origin.
    """

    url: str
    provider: str | None = None
    algorithm: str = "RS256"
    jwks_uri: str | None = None


def issuer(
    url: str,
    *,
    provider: str | None = None,
    algorithm: str = "RS256",
    jwks_uri: str | None = None,
) -> Issuer:
    """The issuer of a setting; of those that are well known, what is not said is known."""
    known = _PROVIDERS.get(url) or ("circleci" if url.startswith(CIRCLECI) else None)
    return Issuer(
        url=url,
        provider=known or provider,
        algorithm=algorithm,
        jwks_uri=jwks_uri or _JWKS.get(url),
    )


def table(issuers: Iterable[Issuer]) -> Mapping[str, Issuer]:
    """By URL, as tokens spell it."""
    return {one.url: one for one in issuers}


def configured(table: Mapping[str, Issuer], provider: str, url: str | None) -> Issuer | None:
    """The issuer that a publisher means; without a URL the only one that it can be."""
    fitting = [one for one in table.values() if one.provider in (provider, None)]
    if url is not None:
        return next((one for one in fitting if one.url == url), None)
    own = [one for one in fitting if one.provider == provider] or fitting
    return own[0] if len(own) == 1 else None
