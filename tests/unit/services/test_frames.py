"""Frames: what is encoded comes back, and bytes that are no frame are never anything but WrongFrame."""

import re
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.directory_rows import DirectoryRow
from services.frames import (
    COUNTER_COLUMNS,
    EVENT_COLUMNS,
    REJECTED_COLUMNS,
    ROWS_MAX,
    SPLIT_COLUMNS,
    VERSION,
    Column,
    Frame,
    FrameHeader,
    FrameSource,
    PackedColumn,
    ReceivedRun,
    UnknownVersion,
    WrongFrame,
    decode_frame,
    encode_frame,
    no_rows,
)
from services.release import running_version

INT64 = st.integers(-(2**63), 2**63 - 1)
STRINGS = ("acme", "ann", "core", "", "\x00 ü 😀")
SOURCES = 3

BOUNDS = {
    "organization": len(STRINGS) - 1,
    "user": len(STRINGS) - 1,
    "reason": len(STRINGS) - 1,
    **dict.fromkeys(("team", *SPLIT_COLUMNS), len(STRINGS)),
    "source": SOURCES - 1,
    "product": 3,
    **dict.fromkeys(COUNTER_COLUMNS, 2**31 - 1),
}


def values_of(name: str) -> st.SearchStrategy[int]:
    if name in BOUNDS:
        return st.integers(0, BOUNDS[name])
    return INT64 | st.sampled_from([-(2**63), 2**63 - 1, 0, 255, 256, 65_535, 65_536, 2**32])


@st.composite
def columns(draw: st.DrawFn, names: tuple[str, ...]) -> dict[str, Column]:
    rows = draw(st.integers(0, 5))
    return {
        name: np.array(draw(st.lists(values_of(name), min_size=rows, max_size=rows)), dtype=np.int64) for name in names
    }


def header_of(**changes: object) -> FrameHeader:
    source = FrameSource(
        topic="usage.events",
        partition=1,
        first_offset=0,
        next_offset=2**62,
        received=3,
        rejected=0,
        read_up_to_ms=None,
    )
    header = FrameHeader(
        version=VERSION,
        frame_id=2**64 - 1,
        fingerprint="f" * 16,
        source_partitions={"usage.events": 4},
        sources=(source,) * SOURCES,
        received=(ReceivedRun(2, 2**40, 7, -1),),
    )
    return msgspec.structs.replace(header, **changes)


def frame_of(
    events: dict[str, Column] | None = None,
    rejected: dict[str, Column] | None = None,
    header: FrameHeader | None = None,
    directory: Sequence[DirectoryRow] = (),
) -> Frame:
    return Frame(
        header=header or header_of(),
        strings=STRINGS,
        events=events or no_rows(EVENT_COLUMNS),
        rejected=rejected or no_rows(REJECTED_COLUMNS),
        directory=directory,
    )


@given(columns(EVENT_COLUMNS), columns(REJECTED_COLUMNS))
def test_every_column_comes_back_as_it_was(events: dict[str, Column], rejected: dict[str, Column]) -> None:
    frame = frame_of(events, rejected)
    back = decode_frame(encode_frame(frame))
    assert back.header == frame.header
    assert tuple(back.strings) == STRINGS
    for name in EVENT_COLUMNS:
        assert back.events[name].tolist() == events[name].tolist()
        assert back.events[name].dtype == np.int64
    for name in REJECTED_COLUMNS:
        assert back.rejected[name].tolist() == rejected[name].tolist()


def test_identities_at_both_ends_of_int64_come_back() -> None:
    events = {name: np.zeros(3, dtype=np.int64) for name in EVENT_COLUMNS}
    events["identity"] = np.array([-(2**63), 2**63 - 1, -1], dtype=np.int64)
    assert decode_frame(encode_frame(frame_of(events))).events["identity"].tolist() == [-(2**63), 2**63 - 1, -1]


def test_a_column_of_one_value_takes_no_bytes_a_row() -> None:
    few = {name: np.full(1, 7 if name == "identity" else 0, dtype=np.int64) for name in EVENT_COLUMNS}
    many = {name: np.full(4_000, 7 if name == "identity" else 0, dtype=np.int64) for name in EVENT_COLUMNS}
    assert len(encode_frame(frame_of(many))) < len(encode_frame(frame_of(few))) + 10


@pytest.mark.parametrize(
    ("release", "remedy"),
    [("7.1.0", "install Tidemark 7.1.0 or later here"), ("", "install the release that wrote it here")],
)
def test_a_frame_of_another_version_names_both_versions_and_the_release_to_install(release: str, remedy: str) -> None:
    data = encode_frame(frame_of(header=header_of(version=VERSION + 6, release=release)))
    here = re.escape(running_version())
    said = rf"version {VERSION + 6}, this release \({here}\) reads up to {VERSION}: {remedy}"
    with pytest.raises(UnknownVersion, match=said):
        decode_frame(data)


@pytest.mark.parametrize(
    "header",
    [
        [9, {"quite": "another"}, "shape"],
        [9, 1, "f", {}, [], [], 7],
        [9, 1, "f", {}, [], [], "x" * 1000],
        [9, [], {}, None, "", 1.5, "9.0.0", "more", {"of": "it"}],
    ],
)
def test_a_newer_version_is_named_whatever_else_it_holds(header: list[object]) -> None:
    with pytest.raises(UnknownVersion, match="a frame of version 9") as refused:
        decode_frame(msgspec.msgpack.encode([header, {"columns": "of another kind"}]))
    assert len(str(refused.value)) < 300
    assert ("install Tidemark 9.0.0 or later" in str(refused.value)) == ("9.0.0" in header)


def test_fields_that_a_later_release_adds_under_the_same_version_are_passed_over() -> None:
    """Which is how a header, a frame and a source may grow (ADR 0031)."""
    frame = frame_of(header=header_of(release="0.1.0"))
    header, *body = msgspec.msgpack.decode(encode_frame(frame))
    header[4] = [[*source, "more"] for source in header[4]]
    grown = msgspec.msgpack.encode([[*header, {"more": 1}], *body, ["more"]])
    assert encode_frame(decode_frame(grown)) == encode_frame(frame)


def test_a_frame_of_before_the_release_was_told_is_read() -> None:
    header, *body = msgspec.msgpack.decode(encode_frame(frame_of(header=header_of(release="0.1.0"))))
    before = decode_frame(msgspec.msgpack.encode([header[:6], *body]))
    assert before.header == header_of(release="")


@given(st.binary(max_size=300))
@example(b"\x91" * 100_000)
@example(b"")
def test_bytes_that_are_no_frame_are_a_wrong_frame(data: bytes) -> None:
    with pytest.raises(WrongFrame):
        decode_frame(data)


def test_a_null_value_is_a_wrong_frame() -> None:
    with pytest.raises(WrongFrame):
        decode_frame(None)


GOOD = encode_frame(
    frame_of(
        {name: np.array([0, 1, 1], dtype=np.int64) for name in EVENT_COLUMNS},
        {name: np.array([0, 1], dtype=np.int64) for name in REJECTED_COLUMNS},
    )
)


@settings(max_examples=500)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, len(GOOD)))
def test_a_damaged_frame_is_a_wrong_frame_or_one_whose_columns_fit(at: int, byte: int, length: int) -> None:
    for damaged in (GOOD[:at] + bytes([byte]) + GOOD[at + 1 :], GOOD[:length]):
        try:
            frame = decode_frame(damaged)
        except WrongFrame:
            continue
        assert {len(column) for column in frame.events.values()} == {frame.event_count}
        for name in ("organization", "user"):
            assert all(0 <= place < len(frame.strings) for place in frame.events[name].tolist())


@pytest.mark.parametrize(
    "column",
    [
        PackedColumn(2**63, 0, b""),
        PackedColumn(0, 3, b"abc"),
        PackedColumn(0, 8, b"abc"),
        PackedColumn(0, 1, b""),
    ],
)
def test_a_column_that_cannot_be_is_a_wrong_frame(column: PackedColumn) -> None:
    body = msgspec.msgpack.decode(GOOD)
    body[3][EVENT_COLUMNS.index("offset")] = msgspec.to_builtins(column, builtin_types=(bytes,))
    with pytest.raises(WrongFrame):
        decode_frame(msgspec.msgpack.encode(body))


@pytest.mark.parametrize("rows", [-1, ROWS_MAX + 1, 2**62])
def test_a_number_of_rows_that_no_frame_has_is_a_wrong_frame(rows: int) -> None:
    body = msgspec.msgpack.decode(GOOD)
    body[2], body[3] = rows, [[0, 0, b""]] * len(EVENT_COLUMNS)
    with pytest.raises(WrongFrame, match="rows"):
        decode_frame(msgspec.msgpack.encode(body))


@pytest.mark.parametrize("name", ["organization", "user", "team", "source", "product", "model", "counter0"])
@pytest.mark.parametrize("place", [-1, 2**31])
def test_a_row_that_points_at_nothing_is_a_wrong_frame(name: str, place: int) -> None:
    events = {each: np.zeros(2, dtype=np.int64) for each in EVENT_COLUMNS}
    events[name] = np.array([0, place], dtype=np.int64)
    with pytest.raises(WrongFrame, match=f"{name} points beyond"):
        decode_frame(encode_frame(frame_of(events)))


def test_received_records_of_a_source_that_is_not_named_are_a_wrong_frame() -> None:
    with pytest.raises(WrongFrame, match="no source"):
        decode_frame(encode_frame(frame_of(header=header_of(received=(ReceivedRun(SOURCES, 0, 1, 0),)))))
