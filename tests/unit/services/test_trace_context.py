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
    sampled_trace_of,
    write_traces,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"

hexadecimal = st.integers(1, 2**64 - 1)
contexts = st.builds(
    lambda trace, span: TraceContext(trace_id=f"{trace:032x}", span_id=f"{span:016x}"),
    hexadecimal,
    hexadecimal,
)
carried = st.builds(
    CarriedTrace,
    context=contexts,
    topic=st.from_regex(r"[a-zA-Z0-9._-]{1,20}", fullmatch=True),
    partition=st.integers(0, 1023),
    offset=st.integers(0, 2**63 - 1),
)


def test_the_standards_own_example_is_read() -> None:
    read = sampled_trace_of([("other", b"x"), (TRACEPARENT, VALID.encode())])
    assert read == TraceContext(trace_id=TRACE, span_id=SPAN)
    assert str(read) == VALID


def test_a_later_version_may_say_more_behind() -> None:
    later = sampled_trace_of([(TRACEPARENT, f"cc-{TRACE}-{SPAN}-03-what-will-come".encode())])
    assert later == TraceContext(trace_id=TRACE, span_id=SPAN)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"rubbish",
        VALID[:-2].encode() + b"00",
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
def test_one_that_is_wrong_or_not_sampled_is_none(value: bytes | None) -> None:
    assert sampled_trace_of([(TRACEPARENT, value)]) is None


def test_of_two_traceparents_none_counts() -> None:
    assert sampled_trace_of([(TRACEPARENT, VALID.encode())] * 2) is None
    assert sampled_trace_of([]) is None


@given(st.lists(carried, max_size=8))
def test_what_a_frame_carries_is_read_as_it_was_written(traces: list[CarriedTrace]) -> None:
    assert list(read_traces([("other", b""), (TRACES, write_traces(traces))])) == traces


@given(st.binary(max_size=200), carried)
def test_rubbish_beside_a_trace_is_passed_over(rubbish: bytes, trace: CarriedTrace) -> None:
    read = read_traces([(TRACES, rubbish.replace(b"-", b"") + b"\n" + write_traces([trace]))])
    assert list(read) == [trace]


def test_a_record_without_headers_carries_nothing() -> None:
    assert read_traces(None) == read_traces([]) == read_traces([(TRACES, None)]) == ()
