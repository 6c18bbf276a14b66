"""The part of the settings that is about upstreams (app.config has the others)."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app import errors
from app.upstream.options import Hosts, Policy, RuleOptions, UpstreamOptions


class UpstreamSettings(BaseModel):
    """One upstream in ``upstream``, ``fallback`` and ``upstream_hosts``, or several in a list."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    fallback: Policy = "none"
    upstream: str = Field(default="", repr=False)
    upstream_hosts: Hosts = ()
    upstreams: tuple[UpstreamOptions, ...] = Field(default=(), repr=False)
    always_show_upstream: bool = False
    upstream_paths: bool = False
    offline: bool = False
    rules: RuleOptions = RuleOptions()

    @model_validator(mode="after")
    def _upstreams_are_named(self) -> Self:
        if self.fallback != "none" and not self.upstream:
            raise ValueError("UPSTREAM is needed by a FALLBACK")
        try:
            names = [one.name for one in self.fallbacks]
        except errors.Misconfigured as wrong:
            raise ValueError(f"UPSTREAM: {wrong}") from None
        if len(names) != len(set(names)):
            raise ValueError("UPSTREAMS: each upstream has a name of its own")
        return self

    @property
    def fallbacks(self) -> tuple[UpstreamOptions, ...]:
        """All upstreams, in the order in which they are asked."""
        if not self.upstream:
            return self.upstreams
        first = UpstreamOptions.of(
            {"url": self.upstream, "policy": self.fallback, "hosts": self.upstream_hosts}
        )
        return (first, *self.upstreams)
