"""The options of issuers; they are settings as well."""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, SecretStr, model_validator

from app.access.oidc.issuers import PUBLIC, Issuer, issuer
from app.options import Options
from app.outbound import target


def _url(url: str) -> str:
    if "?" in url:
        raise ValueError("an issuer's URL has no query")
    target(url)
    return url


Url = Annotated[str, AfterValidator(_url)]
Provider = Literal[
    "github", "gitlab", "google", "activestate", "buildkite", "circleci", "kubernetes", "custom"
]


class IssuerOptions(Options):
    """An issuer whose tokens may mint upload tokens; see issuers.Issuer."""

    issuer: Url
    provider: Provider | None = None
    algorithm: Literal["RS256", "ES256"] = "RS256"
    jwks_uri: Url | None = None

    @property
    def entry(self) -> Issuer:
        """The entry of the table."""
        return issuer(
            self.issuer,
            provider=self.provider,
            algorithm=self.algorithm,
            jwks_uri=self.jwks_uri,
        )


def _listed(value: object) -> object:
    """A list in JSON, or URLs separated by commas or blanks; a URL alone is an issuer too."""
    if isinstance(value, str):
        text = value.strip()
        value = json.loads(text) if text.startswith("[") else text.replace(",", " ").split()
    if isinstance(value, list | tuple):
        return [{"issuer": one} if isinstance(one, str) else one for one in value]
    return value


Issuers = Annotated[tuple[IssuerOptions, ...], BeforeValidator(_listed)]
DEFAULT = tuple(IssuerOptions(issuer=url) for url in PUBLIC)


class SsoOptions(Options):
    """Single sign-on by OpenID Connect, where ``issuer`` is set, or by a proxy's ``header``.

    ``username_claim`` names whoever comes first; those not known are made where
    ``create_users``, those who are here already bound to them where ``link_users``, else they
    are refused. ``domains``: of whose verified address logins are taken; empty: any.
    ``jwks_uri`` None: discovered, and then at the issuer's own origin.
    ``admin_group``: whoever has it in ``groups_claim`` is an admin, nobody else stays one.
    ``groups``: names and patterns of groups whose members that claim decides at each login.
    """

    issuer: Annotated[str, AfterValidator(lambda url: _url(url) if url else url)] = ""
    client_id: str = ""
    client_secret: SecretStr | None = None
    scopes: str = "openid profile email"
    username_claim: str = "preferred_username"
    jwks_uri: Url | None = None
    groups_claim: str = "groups"
    admin_group: str = ""
    groups: tuple[str, ...] = ()
    create_users: bool = False
    link_users: bool = False
    domains: tuple[str, ...] = ()
    header: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.issuer and not (self.client_id and self.client_secret):
            raise ValueError("issuer needs client_id and client_secret")
        if self.issuer and not (self.create_users or self.link_users):
            raise ValueError("issuer needs create_users or link_users: nobody could log in")
        return self
