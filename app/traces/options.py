"""Options of traces: the settings group ``PYPICLOUD_TRACES__…``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from app.options import Options
from app.outbound import target
from app.quantities import Duration

PATH = "/v1/traces"
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([\t\x20-\x7e]*)")


def _endpoint(value: str) -> str:
    target(value, plain=True)  # no user, no password
    parts = urlsplit(value)
    if parts.query:
        raise ValueError("give keys in HEADERS, no query string")
    return value.rstrip("/") + (PATH if parts.path in ("", "/") else "")


def _headers(value: SecretStr) -> SecretStr:
    for one in value.get_secret_value().split(","):
        if not _HEADER.fullmatch(one.strip()):
            raise ValueError("write it like 'name=value,other=value'")
    return value


class TracesOptions(Options):
    """Where spans are sent by OTLP over HTTP, and how many: ``sample`` is a share of requests.

    A request that a trusted proxy says is traced is traced whatever the share, and the other
    way round.
    """

    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    headers: Annotated[SecretStr, AfterValidator(_headers)] | None = None
    name: str = Field(default="pypicloud", pattern=r"^[!-~]{1,100}$")
    sample: float = Field(default=1.0, ge=0, le=1)
    timeout: Duration = timedelta(seconds=10)

    @property
    def sent(self) -> dict[str, str]:
        """The headers by their names."""
        text = self.headers.get_secret_value() if self.headers else ""
        pairs = (one.strip().partition("=") for one in text.split(",") if one.strip())
        return {name.lower(): value for name, _, value in pairs}
