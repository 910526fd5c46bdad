"""W3C trace context in record headers: what is valid is carried, and nothing wrong disturbs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trace_context import (
    TRACEPARENT,
    TRACES,
    CarriedTrace,
    TraceContext,
    read_traces,
    trace_of,
    write_traces,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"

hexadecimal = st.integers(1, 2**64 - 1)
contexts = st.builds(
    lambda trace, span, sampled: TraceContext(trace_id=f"{trace:032x}", span_id=f"{span:016x}", sampled=sampled),
    hexadecimal,
    hexadecimal,
    st.booleans(),
)
carried = st.builds(
    CarriedTrace,
    context=contexts,
    topic=st.from_regex(r"[a-zA-Z0-9._-]{1,20}", fullmatch=True),
    partition=st.integers(0, 1023),
    offset=st.integers(0, 2**63 - 1),
)


def test_the_standards_own_example_is_read() -> None:
    assert trace_of([("other", b"x"), (TRACEPARENT, VALID.encode())]) == TraceContext(
        trace_id=TRACE, span_id=SPAN, sampled=True
    )
    assert trace_of([(TRACEPARENT, VALID.replace("-01", "-00").encode())]) == TraceContext(
        trace_id=TRACE, span_id=SPAN, sampled=False
    )


def test_a_later_version_may_say_more_behind() -> None:
    later = trace_of([(TRACEPARENT, f"cc-{TRACE}-{SPAN}-03-what-will-come".encode())])
    assert later == TraceContext(trace_id=TRACE, span_id=SPAN, sampled=True)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"rubbish",
        b"\xff\xfe",
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"00-{TRACE}-{SPAN}-01-more".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        VALID.upper().encode(),
        VALID[:-1].encode(),
        f"00-{TRACE[:-1]}\u0661-{SPAN}-01".encode(),
    ],
)
def test_a_wrong_traceparent_is_none(value: bytes | None) -> None:
    assert trace_of([(TRACEPARENT, value)]) is None


def test_of_two_traceparents_none_counts() -> None:
    assert trace_of([(TRACEPARENT, VALID.encode())] * 2) is None
    assert trace_of([]) is None


@given(st.lists(carried, max_size=8))
def test_what_a_frame_carries_is_read_as_it_was_written(traces: list[CarriedTrace]) -> None:
    assert list(read_traces([("other", b""), (TRACES, write_traces(traces))])) == traces


@given(st.binary(max_size=200), carried)
def test_rubbish_beside_a_trace_is_passed_over(rubbish: bytes, trace: CarriedTrace) -> None:
    read = read_traces([(TRACES, rubbish.replace(b"-", b"") + b"\n" + write_traces([trace]))])
    assert list(read) == [trace]


def test_a_record_without_headers_carries_nothing() -> None:
    assert read_traces(None) == read_traces([]) == read_traces([(TRACES, None)]) == ()
