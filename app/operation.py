"""The part of the settings that is about running the service (app.config has the others)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.hooks.options import WebhookOptions
from app.metrics.options import MetricsOptions
from app.quantities import Wait
from app.retention.options import QuotaOptions, RetentionOptions
from app.traces.options import TracesOptions


class OperationSettings(BaseModel):
    """What is measured, counted and logged, and how a process ends."""

    metrics: MetricsOptions = Field(default=MetricsOptions(), repr=False)
    traces: TracesOptions = Field(default=TracesOptions(), repr=False)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    webhooks: WebhookOptions = Field(default=WebhookOptions(), repr=False)
    retention: RetentionOptions = RetentionOptions()
    quotas: QuotaOptions = QuotaOptions()
    downloads: bool = True
    drain: Annotated[Wait, Field(le=timedelta(minutes=5))] = timedelta(0)
