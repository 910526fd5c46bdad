"""What is told of runs whose frames carry traces, with OpenTelemetry's own SDK where it is installed."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
import structlog

from aggregator.applying import PartitionApplier
from aggregator.traced_runs import TOLD_MAX
from services.identifiers import FrameOffset
from services.memory_counters import MemoryCounterStore
from services.settings import TracingSettings
from services.settings_loading import WrongSettings
from services.spans import Spans, open_spans
from services.trace_context import CarriedTrace, TraceContext
from tests.unit.aggregator.test_applying import applier_on
from tests.unit.aggregator.test_fold import PARTITION, fold_all, log_of

EVENT = (
    b'{"specversion":"1.0","id":"%d","source":"s","type":"usage.chat","time":"2025-01-01T00:00:00Z",'
    b'"subject":"ann","organizationid":"acme","data":{"interactions":1}}'
)


def trace(number: int) -> CarriedTrace:
    context = TraceContext(trace_id=f"{number:032x}", span_id=f"{number:016x}")
    return CarriedTrace(context=context, topic="usage.events", partition=2, offset=number)


async def applied(traces: Sequence[Sequence[CarriedTrace]], spans: Spans | None = None) -> list[dict[str, Any]]:
    """Apply frames of one event each that carry these traces; return the log's lines."""
    empty, _ = await fold_all([], [])
    state = empty.partitions[0].state
    assert state is not None
    store = MemoryCounterStore(1)
    with structlog.testing.capture_logs() as lines:
        applier = applier_on(store, await store.begin(PARTITION, state), spans=spans)
        running = asyncio.create_task(applier.run())
        await asyncio.wait_for(offer_each(applier, traces), 10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return [dict(line) for line in lines if line["event"] == "traced_events_applied"]


async def offer_each(applier: PartitionApplier, traces: Sequence[Sequence[CarriedTrace]]) -> None:
    """Offer frames one by one, each once the last one is applied."""
    frames = log_of([EVENT % number for number in range(len(traces))], [1] * len(traces))
    for offset, (frame, carried) in enumerate(zip(frames, traces, strict=True)):
        done = asyncio.Event()
        await applier.queue.offer(FrameOffset(offset), frame, done.set, carried)
        await done.wait()
    # The applier tells of a run after its frames are done.
    await asyncio.sleep(0)


async def test_a_line_names_the_traces_of_an_applied_run_and_where_their_events_came_from() -> None:
    [line] = await applied([[], [trace(7), trace(8)], []])
    assert (line["partition"], line["first"], line["last"]) == (PARTITION, 1, 1)
    assert line["traces"] == [
        {"trace_id": f"{number:032x}", "topic": "usage.events", "partition": 2, "offset": number} for number in (7, 8)
    ]


async def test_a_line_names_a_bounded_number_of_traces() -> None:
    [line] = await applied([[trace(number) for number in range(1, 100)]])
    assert len(line["traces"]) == TOLD_MAX


async def test_without_traces_nothing_is_told() -> None:
    assert await applied([[], []]) == []


def test_no_spans_are_told_unless_the_settings_want_them() -> None:
    assert open_spans(TracingSettings(), "aggregator") is None


def test_spans_without_the_extra_are_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(WrongSettings, match=r"TIDEMARK_TRACING__SPANS needs .*tidemark-usage\[otel\]"):
        open_spans(TracingSettings(spans=True), "aggregator")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """A collector of spans; gives the bodies that were posted to it."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    yield bodies
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_span_of_the_apply_links_to_the_traces_of_its_events(collector: list[bytes]) -> None:
    pytest.importorskip("opentelemetry.sdk.trace", reason="the extra otel is not installed")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: PLC0415

    spans = open_spans(TracingSettings(spans=True), "aggregator")
    assert spans is not None
    await applied([[], [trace(7), trace(8)]], spans)
    await asyncio.to_thread(spans.close)
    [body] = collector
    [resource] = ExportTraceServiceRequest.FromString(body).resource_spans
    names = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert names["service.name"] == "tidemark-aggregator"
    [span] = resource.scope_spans[0].spans
    assert span.name == "tidemark.apply"
    assert [link.trace_id.hex() for link in span.links] == [f"{number:032x}" for number in (7, 8)]
    assert {each.key: each.value.int_value for each in span.attributes} == {
        "tidemark.partition": PARTITION,
        "tidemark.first": 1,
        "tidemark.last": 1,
        "tidemark.events": 1,
    }
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
