"""Traces by OpenTelemetry's SDK, sent as OTLP over HTTP by a thread of its own.

The provider is this process's and not OpenTelemetry's global one: libraries that trace
themselves would put URLs and statements into spans.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__
from app.traces.options import TracesOptions

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
OTHER = "_OTHER"
"""OpenTelemetry's word for a method that a client may have made up."""


class Otlp:
    """Sends spans to a collector; while it does not listen, spans are dropped."""

    def __init__(self, options: TracesOptions) -> None:
        exporter = OTLPSpanExporter(
            endpoint=options.endpoint,
            headers=options.sent,
            timeout=options.timeout.total_seconds(),
        )
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(options.sample)),
            resource=Resource.create(
                {
                    "service.name": options.name,
                    "service.version": __version__,
                    "service.instance.id": secrets.token_hex(8),
                }
            ),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("pypicloud", __version__)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, method: str, parent: Mapping[str, str]) -> Iterator[_Asked]:
        """Be the present request until the block ends."""
        named = method if method in METHODS else OTHER
        with self._tracer.start_as_current_span(
            named,
            context=self._propagator.extract(parent) if parent else None,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": named},
            record_exception=False,  # messages may have what is secret
            set_status_on_exception=False,
        ) as span:
            yield _Asked(span, named)

    def at_hand(self, method: str, route: str, status: int, request: str, seconds: float) -> None:
        """Begun and ended at once: there is nothing below it."""
        ended = time.time_ns()
        span = self._tracer.start_span(
            f"{method} {route}" if route else method,
            context=Context(),  # of nobody's trace: who says where it belongs is sent to a door
            kind=SpanKind.SERVER,
            start_time=ended - int(seconds * 1e9),
        )
        if span.is_recording():
            span.set_attribute("http.request.method", method)
            span.set_attribute("pypicloud.hot", True)
            _Asked(span, method).answered(route, status, request)
        span.end(ended)

    def call(self, room: str, name: str) -> _Call | None:
        """Of the present request, if there is one."""
        if not trace.get_current_span().get_span_context().is_valid:
            return None
        kind = SpanKind.CLIENT
        return _Call(self._tracer.start_span(f"{room}.{name}", kind=kind))

    async def stop(self) -> None:
        """Send what is left; it takes the time-out at most."""
        await asyncio.to_thread(self._provider.shutdown)


class _Asked:
    def __init__(self, span: Span, method: str) -> None:
        self._span, self._method = span, method

    def answered(self, route: str, status: int, request: str) -> None:
        span = self._span
        span.set_attribute("pypicloud.request_id", request)
        if route:
            span.update_name(f"{self._method} {route}")
            span.set_attribute("http.route", route)
        if status:
            span.set_attribute("http.response.status_code", status)
        if not status or status >= 500:
            span.set_status(StatusCode.ERROR)


class _Call:
    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, outcome: str, kind: str = "") -> None:
        self._span.set_attribute("pypicloud.outcome", outcome)
        if kind:
            self._span.set_attribute("error.type", kind)
        if outcome == "error":
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
