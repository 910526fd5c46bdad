"""Spans of OpenTelemetry (extra `otel`), where the settings want them. Its own `OTEL_*` variables say where they go."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from services.release import running_version
from services.settings import TracingSettings
from services.settings_loading import WrongSettings
from services.trace_context import TraceContext

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_NS_IN_MS: Final = 1_000_000


class Spans:
    """Tells what was done, and from which traces it came.

    Args:
        provider: how spans are made and sent; sending happens in a thread of its own.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("tidemark", running_version())

    def tell(
        self,
        name: str,
        *,
        from_ms: int,
        to_ms: int,
        links: Iterable[TraceContext],
        attributes: Mapping[str, str | int],
    ) -> None:
        """Tell of something that began and ended; it is the root of a trace, with links to others."""
        from opentelemetry.context import Context  # noqa: PLC0415  (the extra may not be there)
        from opentelemetry.trace import Link, SpanContext, TraceFlags  # noqa: PLC0415

        contexts = [
            SpanContext(int(each.trace_id, 16), int(each.span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
            for each in links
        ]
        span = self._tracer.start_span(
            name,
            context=Context(),
            links=[Link(context) for context in contexts],
            attributes=dict(attributes),
            start_time=from_ms * _NS_IN_MS,
        )
        span.end(to_ms * _NS_IN_MS)

    def close(self) -> None:
        """Send what is left; with the collector away that takes its time-out, 10 s by default."""
        self._provider.shutdown()


def open_spans(settings: TracingSettings, role: str) -> Spans | None:
    """Return what tells spans of a role, None where none are wanted.

    Raises:
        WrongSettings: they are wanted, and the extra is not installed.
    """
    if not settings.spans:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise WrongSettings(
            "TIDEMARK_TRACING__SPANS needs OpenTelemetry: pip install 'tidemark-usage[otel]', or set it to false"
        ) from error
    provider = TracerProvider(resource=Resource.create({"service.name": f"tidemark-{role}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(provider)
