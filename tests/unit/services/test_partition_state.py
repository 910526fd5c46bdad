"""The state of a partition comes back from the fields it is written as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.counters import ApplyRequest, PartitionState, SourcePosition
from services.identifiers import Epoch, FrameId, FrameOffset
from services.keyspace import LAYOUT
from services.partition_state import UnknownLayout, read_state, write_progress, write_state
from services.release import running_version

TOPICS = st.text(st.sampled_from("usage.events-_n:s/"), min_size=1, max_size=8)
POSITIONS = st.builds(
    SourcePosition, next_offset=st.integers(0, 2**62), read_up_to_ms=st.none() | st.integers(-(2**50), 2**50)
)
SOURCES = st.dictionaries(st.tuples(TOPICS, st.integers(0, 5_000)), POSITIONS, max_size=5)
FRAME_IDS = st.integers(0, 2**64 - 1).map(FrameId)
STATES = st.builds(
    PartitionState,
    epoch=st.integers(1, 10**6).map(Epoch),
    applied_offset=st.integers(-1, 2**62).map(FrameOffset),
    frame_id=st.none() | FRAME_IDS,
    partitions=st.integers(1, 1024),
    fingerprint=st.text(st.sampled_from("0123456789abcdef"), max_size=16),
    source_partitions=st.dictionaries(TOPICS, st.integers(0, 5_000), max_size=3),
    sources=SOURCES,
    months=st.dictionaries(st.integers(-30_000, 90_000), FRAME_IDS, max_size=3),
)


def held(fields: list[str]) -> dict[bytes, bytes]:
    encoded = [field.encode() for field in fields]
    return dict(zip(encoded[::2], encoded[1::2], strict=True))


@given(STATES)
def test_a_state_comes_back(state: PartitionState) -> None:
    assert read_state(held(write_state(state))) == state


@given(STATES, FRAME_IDS, SOURCES)
def test_progress_changes_what_it_names_and_leaves_the_rest(
    state: PartitionState, frame_id: FrameId, sources: dict[tuple[str, int], SourcePosition]
) -> None:
    run = ApplyRequest(
        epoch=state.epoch,
        first=FrameOffset(state.applied_offset + 1),
        last=FrameOffset(state.applied_offset + 3),
        frame_id=frame_id,
        source_partitions={"events": 9},
        sources=sources,
        months={682: frame_id},
    )
    after = read_state(held(write_state(state)) | held(write_progress(run)))
    assert after is not None
    assert (after.applied_offset, after.frame_id) == (run.last, frame_id)
    assert after.sources == {**state.sources, **sources}
    assert after.months == {**state.months, 682: frame_id}
    assert after.source_partitions == {**state.source_partitions, "events": 9}
    assert (after.epoch, after.partitions, after.fingerprint) == (state.epoch, state.partitions, state.fingerprint)


def test_no_fields_are_no_state() -> None:
    assert read_state({}) is None


@given(STATES)
def test_a_state_says_its_layout_and_one_of_before_that_is_of_the_first(state: PartitionState) -> None:
    fields = held(write_state(state))
    assert (fields.pop(b"layout"), fields.pop(b"release")) == (str(LAYOUT).encode(), running_version().encode())
    assert read_state(fields) == read_state(fields | {b"layout": b"1"}) == state


@pytest.mark.parametrize(
    ("release", "remedy"),
    [({b"release": b"7.1.0"}, r"install Tidemark 7\.1\.0 or later"), ({}, "install the release that wrote it")],
)
def test_a_newer_layout_names_the_release_to_install_whatever_else_the_state_holds(
    release: dict[bytes, bytes], remedy: str
) -> None:
    said = rf"key layout {LAYOUT + 1}, this release \(.+\) reads up to {LAYOUT}: {remedy}; nothing was changed"
    for fields in ({}, {b"cur": b"another kind"}):
        with pytest.raises(UnknownLayout, match=said):
            read_state({b"layout": str(LAYOUT + 1).encode(), **release, **fields})


@pytest.mark.parametrize("missing", [b"epoch", b"cur", b"partitions", b"fingerprint"])
def test_fields_that_are_no_whole_state_are_an_error(missing: bytes) -> None:
    fields = {b"epoch": b"1", b"cur": b"5", b"partitions": b"16", b"fingerprint": b"f"}
    assert read_state(fields) is not None
    del fields[missing]
    with pytest.raises(KeyError):
        read_state(fields)


@pytest.mark.parametrize(
    ("name", "value"), [(b"cur", b"x"), (b"s:events/0", b"x,"), (b"s:events", b"1,"), (b"n:events", b"")]
)
def test_a_field_that_cannot_be_read_is_an_error(name: bytes, value: bytes) -> None:
    fields = {b"epoch": b"1", b"cur": b"5", b"partitions": b"16", b"fingerprint": b"f", name: value}
    with pytest.raises(ValueError, match="invalid literal"):
        read_state(fields)
