"""Directory rows of frames: what is encoded comes back, what was written before them is still read."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.directory import Status, Thing
from services.directory_records import DirectoryChange, month_of
from services.directory_rows import DirectoryRow, directory_row
from services.frames import EVENT_COLUMNS, VERSION, Column, WrongFrame, decode_frame, encode_frame
from services.identifiers import OrganizationId
from tests.unit.services.test_frames import SOURCES, STRINGS, columns, frame_of

ROWS = st.builds(
    DirectoryRow,
    source=st.integers(0, SOURCES - 1),
    offset=st.integers(0, 2**62),
    broker_ms=st.integers(-(2**50), 2**50),
    thing=st.sampled_from(Thing),
    organization=st.sampled_from(STRINGS[:4]),
    subject=st.text(min_size=1, max_size=3),
    version=st.integers(0, 2**53 - 1),
    time_ms=st.integers(-62_135_596_800_000, 253_402_300_799_999),
    status=st.integers(0, 3),
    record=st.none() | st.binary(max_size=5),
)


@given(st.lists(ROWS, max_size=5), columns(EVENT_COLUMNS))
def test_every_directory_row_comes_back_as_it_was(rows: list[DirectoryRow], events: dict[str, Column]) -> None:
    back = decode_frame(encode_frame(frame_of(events, directory=rows)))
    assert list(back.directory) == rows
    assert back.event_count == len(events["offset"])


@pytest.mark.parametrize("status", [*Status, None])
def test_a_row_gives_back_the_change_it_was_made_of(status: Status | None) -> None:
    change = DirectoryChange(
        thing=Thing.USER,
        organization=OrganizationId("acme"),
        subject="ann",
        version=2**53 - 1,
        time_ms=-1,
        status=status,
        record=None if status is None else b"record",
    )
    row = directory_row(change, source=2, offset=7, broker_ms=9)
    assert row.change() == change
    assert (row.source, row.offset, row.broker_ms) == (2, 7, 9)
    [back] = decode_frame(encode_frame(frame_of(directory=[row]))).directory
    assert back.change() == change


ROW = DirectoryRow(
    source=1,
    offset=4,
    broker_ms=5,
    thing=Thing.USER,
    organization="acme",
    subject="ann",
    version=3,
    time_ms=6,
    status=1,
    record=b"record",
)
# A frame as ingest wrote it before there were directory rows, byte for byte.
VERSION_1 = bytes.fromhex(
    "96960107b06666666666666666666666666666666681ac75736167652e6576656e7473019197ac75736167652e6576656e747300"
    "05060100cf0000019b76daa9f49194000501ce00077d9092a461636d65a3616e6e01dc0016930000c400930200c400930100c400"
    "930000c40093cf0000019b76daa80000c40093cf0000019b76daa9f400c400930000c400930500c40093ff00c400930000c40093"
    "0000c400930000c400930000c400930700c400930000c400930000c400930000c400930000c400930000c400930000c400930000"
    "c400930000c4000094930000c400930000c400930000c400930000c400"
)


def test_a_frame_of_version_1_is_still_read() -> None:
    frame = decode_frame(VERSION_1)
    assert (frame.header.version, frame.frame_id, frame.event_count) == (1, 7, 1)
    assert tuple(frame.directory) == ()
    assert [source.next_offset for source in frame.header.sources] == [6]
    columns = {name: column.tolist() for name, column in frame.events.items()}
    names = ("organization", "user", "team", "time_ms", "offset", "identity", "counter0")
    assert [columns[name] for name in names] == [[0], [1], [2], [1_767_225_600_000], [5], [-1], [7]]


def test_what_is_written_says_the_version_that_has_directory_rows() -> None:
    body = msgspec.msgpack.decode(encode_frame(frame_of(directory=[ROW])))
    assert (body[0][0], VERSION) == (2, 2)
    assert len(body) == 7


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("source", SOURCES),
        ("source", -1),
        ("status", 4),
        ("status", -1),
        ("thing", "x"),
        ("thing", 1),
        ("version", "3"),
        ("subject", None),
        ("record", "text"),
        ("time_ms", 253_402_300_800_000),
        ("time_ms", -62_135_596_800_001),
    ],
)
def test_a_directory_row_that_cannot_be_is_a_wrong_frame(member: str, value: object) -> None:
    body = msgspec.msgpack.decode(encode_frame(frame_of(directory=[ROW])))
    body[6][0][DirectoryRow.__struct_fields__.index(member)] = value
    with pytest.raises(WrongFrame):
        decode_frame(msgspec.msgpack.encode(body))


def test_a_directory_row_cut_short_is_a_wrong_frame() -> None:
    body = msgspec.msgpack.decode(encode_frame(frame_of(directory=[ROW])))
    cut: list[object] = [None, [None], [body[6][0][:-1]], [[]]]
    for rows in cut:
        with pytest.raises(WrongFrame):
            decode_frame(msgspec.msgpack.encode([*body[:6], rows]))


WITH_ROWS = encode_frame(frame_of(directory=[ROW, ROW]))


@settings(max_examples=500)
@given(st.integers(0, len(WITH_ROWS) - 1), st.integers(0, 255), st.integers(0, len(WITH_ROWS)))
def test_a_damaged_frame_with_rows_is_a_wrong_frame_or_one_whose_rows_are_changes(
    at: int, byte: int, length: int
) -> None:
    for damaged in (WITH_ROWS[:at] + bytes([byte]) + WITH_ROWS[at + 1 :], WITH_ROWS[:length]):
        try:
            frame = decode_frame(damaged)
        except WrongFrame:
            continue
        for row in frame.directory:
            assert 0 <= row.source < len(frame.header.sources)
            assert month_of(row.change().time_ms) is not None
