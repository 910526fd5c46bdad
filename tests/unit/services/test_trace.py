import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.counters import PartitionState, StoreUnavailable
from services.dead_letter_log import DeadLetter
from services.dead_letters import DeadLetterOrigin, Reason
from services.dedup_index import PERIOD_MS
from services.event_identity import EventIdentity, Match
from services.frame_search import FrameEvent, FrameSearch
from services.frames import WrongFrame, decode_frame, look_for
from services.identifiers import Epoch, PartitionId
from services.identity import identity_hasher
from services.letter_search import LetterSearch
from services.memory_counters import MemoryCounterStore, MemoryPartition
from services.metrics_contract import CHAT
from services.settings import TopicSettings
from services.trace import Evidence, LetterFound, Outcome, Trace, Waiting, judge
from services.trace_index import look_up, periods_to_ask
from services.trace_members import explanation, trace_members, why
from services.trace_reach import Reach
from services.windows import DAY_MS, HOUR_MS
from tests.support.event_lines import event_line
from tests.support.folded_log import begun, fold_logs
from tests.support.log_of_frames import FINGERPRINT, SECRET, TopicReader

pytestmark = pytest.mark.unit

PERIOD = 2_900
EDGE_MS = PERIOD * PERIOD_MS
IDENTITY = EventIdentity(organization="acme", source="tests", id="a")
TOPICS = TopicSettings(events="events", frames="frames", frames_partitions=1)


def hashed(event_id: str) -> int:
    return int.from_bytes(identity_hasher(SECRET)("acme", "tests", event_id), "little", signed=True)


def search(frames: Sequence[bytes], event_id: str = "a") -> FrameSearch:
    found = FrameSearch(hashed(event_id), FINGERPRINT, {})
    for offset, frame in enumerate(frames):
        found.look(offset, 0, frame)
    return found


def frame_event(
    frame_offset: int, offset: int, time_ms: int = EDGE_MS + 3 * DAY_MS, *, again: bool = False
) -> FrameEvent:
    return FrameEvent(
        frame_offset=frame_offset,
        frame_ms=time_ms,
        topic="events",
        partition=0,
        offset=offset,
        broker_ms=time_ms,
        again=again,
        time_ms=time_ms,
        product=CHAT,
        organization="acme",
        team="core",
        user="ann",
        counters=(1, *[0] * 8),
    )


def letter_found(offset: int, letter_offset: int = 0, *, exact: bool = True) -> LetterFound:
    return LetterFound(
        topic="events",
        partition=0,
        offset=offset,
        reason="negative",
        field="data.lines",
        rejected_at_ms=0,
        letter_partition=2,
        letter_offset=letter_offset,
        exact=exact,
    )


def outcomes(trace: Trace) -> list[str]:
    return [each.outcome.value for each in trace.records]


@given(
    lines=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([-30, -20, -1, 1, 20, 30, 100])), min_size=1, max_size=25
    ),
    poll=st.integers(1, 25),
    back=st.integers(0, 25),
    runs=st.lists(st.integers(1, 4), max_size=4),
    order=st.permutations(range(3)),
)
@example(lines=[("a", 1), ("a", 1)], poll=1, back=0, runs=[], order=[2, 1, 0])
async def test_the_verdicts_are_those_of_the_fold(
    lines: list[tuple[str, int]], poll: int, back: int, runs: list[int], order: list[int]
) -> None:
    reader = TopicReader(1, first_ms=EDGE_MS + 20 * DAY_MS)
    written = [event_line(event_id, EDGE_MS + hours * HOUR_MS) for event_id, hours in lines]
    [first] = reader.read(written[:poll])
    [again] = reader.read_again(max(0, poll - back), 0) if back else [[]]
    [rest] = reader.read(written[poll:]) if written[poll:] else [[]]
    parts = [first, again, rest]
    frames = [frame for at in order for frame in parts[at]]
    folds = await fold_logs(await begun(1), [frames], runs)

    told: Counter[str] = Counter()
    for event_id in "abc":
        found = search(frames, event_id)
        told += Counter(outcomes(judge(Evidence(applied_offset=len(frames) - 1, events=found.found))))
    assert told == +Counter(
        accepted=sum(each.counted for each in folds),
        duplicate=sum(each.duplicates for each in folds),
        redelivered=sum(each.redelivered for each in folds),
    )


def test_a_record_seen_twice_was_read_again_also_where_the_frames_before_were_not_read() -> None:
    trace = judge(Evidence(applied_offset=9, events=[frame_event(4, 7), frame_event(5, 7), frame_event(6, 8)]))
    assert outcomes(trace) == ["accepted", "redelivered", "duplicate"]


def test_a_copy_names_the_record_that_counted_and_only_that_has_windows() -> None:
    [frames] = TopicReader(1, first_ms=EDGE_MS + 20 * DAY_MS).read([event_line("a", EDGE_MS + HOUR_MS + 60_000)] * 2)
    members = trace_members(
        IDENTITY, judge(Evidence(applied_offset=0, events=search(frames).found)), Reach(partition=3)
    )
    first, second = members["records"]
    assert (first["outcome"], first["source"]["offset"], first["copyOf"]) == ("accepted", 0, None)
    assert (second["outcome"], second["source"]["offset"], second["windows"]) == ("duplicate", 1, [])
    assert (second["copyOf"]["offset"], second["copyOf"]["frame"]["offset"]) == (0, 0)
    assert first["event"]["metrics"]["interactions"] == 1
    windows = [(each["team"], each["user"], each["window"], each["start"]) for each in first["windows"]]
    day, hour = "2025-07-31T00:00:00Z", "2025-07-31T01:00:00Z"
    assert windows == [
        (None, None, "hour", hour),
        (None, None, "day", day),
        ("core", None, "hour", hour),
        ("core", None, "day", day),
        (None, "ann", "hour", hour),
        (None, "ann", "day", day),
    ]
    assert members["explanation"] == "accepted: counted once; 1 copy changed nothing"


def test_a_frame_beyond_the_applied_offset_is_in_flight() -> None:
    trace = judge(Evidence(applied_offset=4, events=[frame_event(5, 1), frame_event(6, 2)]))
    assert (trace.verdict, outcomes(trace)) == (Outcome.IN_FLIGHT, ["in_flight", "in_flight"])
    trace = judge(Evidence(applied_offset=5, events=[frame_event(5, 1), frame_event(6, 2)]))
    assert (trace.verdict, outcomes(trace)) == (Outcome.ACCEPTED, ["accepted", "in_flight"])


def test_an_event_of_a_skipped_frame_counts_when_the_frame_is_published_again() -> None:
    trace = judge(Evidence(applied_offset=9, events=[frame_event(5, 1)], skipped_frames={5}))
    assert (trace.verdict, outcomes(trace)) == (Outcome.SKIPPED, ["skipped"])
    events = [frame_event(5, 1), frame_event(8, 1, again=True)]
    trace = judge(Evidence(applied_offset=9, events=events, skipped_frames={5}))
    assert (trace.verdict, outcomes(trace)) == (Outcome.ACCEPTED, ["skipped", "accepted"])


def test_a_dead_letter_written_twice_of_one_record_is_redelivered_and_a_later_good_one_counts() -> None:
    letters = [letter_found(7), letter_found(7, 1), letter_found(8, 2, exact=False)]
    trace = judge(Evidence(applied_offset=9, letters=letters))
    assert (trace.verdict, outcomes(trace)) == (
        Outcome.DEAD_LETTERED,
        ["dead_lettered", "redelivered", "dead_lettered"],
    )
    assert [each.certain for each in trace.records] == [True, True, False]
    assert explanation(judge(Evidence(applied_offset=9, letters=letters[:1])), Reach(partition=0)) == (
        "dead-lettered: negative at data.lines"
    )
    assert judge(Evidence(applied_offset=9, letters=letters, events=[frame_event(9, 20)])).verdict is Outcome.ACCEPTED


def test_a_waiting_record_is_in_flight_unless_a_frame_or_a_letter_decided_it() -> None:
    waiting = [Waiting(topic="events", partition=0, offset=at, broker_ms=0, exact=True) for at in (1, 2, 3)]
    trace = judge(Evidence(applied_offset=9, waiting=waiting, events=[frame_event(4, 1)], letters=[letter_found(2)]))
    assert [(each.outcome, each.offset) for each in trace.records] == [
        (Outcome.ACCEPTED, 1),
        (Outcome.DEAD_LETTERED, 2),
        (Outcome.IN_FLIGHT, 3),
    ]
    assert judge(Evidence(applied_offset=9, waiting=waiting)).verdict is Outcome.IN_FLIGHT


def test_what_only_the_dedup_index_knows_was_counted_by_a_frame_that_was_not_read() -> None:
    trace = judge(Evidence(applied_offset=9, known_periods=[PERIOD], complete=False))
    assert (trace.verdict, trace.counted_unread) == (Outcome.ACCEPTED, [PERIOD])
    gone = Reach(partition=0, begin=4, read_from=4)
    assert explanation(trace, gone) == "accepted: counted, its frame is no longer kept"
    assert "not read" in explanation(trace, replace(gone, read_from=5))
    counted = judge(Evidence(applied_offset=9, known_periods=[PERIOD], events=[frame_event(4, 1)]))
    assert (counted.counted_unread, counted.indexed) == ([], True)
    assert not judge(Evidence(applied_offset=9, events=[frame_event(4, 1)])).indexed
    twice = judge(Evidence(applied_offset=9, known_periods=[PERIOD - 3, PERIOD], events=[frame_event(4, 1)]))
    assert explanation(twice, gone).startswith("accepted: counted 2 times")


def test_the_first_one_read_may_be_a_copy_where_earlier_frames_were_not_read() -> None:
    near_edge = frame_event(5, 1, EDGE_MS + HOUR_MS)
    assert judge(Evidence(applied_offset=9, events=[near_edge])).records[0].certain
    assert judge(Evidence(applied_offset=9, events=[near_edge], sound_from_ms=EDGE_MS + HOUR_MS)).records[0].certain
    unsure = Evidence(applied_offset=9, events=[near_edge], sound_from_ms=EDGE_MS + 2 * HOUR_MS, known_periods=[PERIOD])
    [record] = judge(unsure).records
    assert (record.outcome, record.certain) == (Outcome.ACCEPTED, False)
    # The index holds it in the period before the edge, and not in its own: it is a copy of that one.
    [record] = judge(replace(unsure, known_periods=[PERIOD - 1])).records
    assert (record.outcome, record.copy_of) == (Outcome.DUPLICATE, None)


def test_nothing_found_is_never_seen_only_where_all_was_read() -> None:
    assert judge(Evidence(applied_offset=9)).verdict is Outcome.NEVER_SEEN
    trace = judge(Evidence(applied_offset=9, complete=False))
    assert trace.verdict is Outcome.UNKNOWN
    assert "frames" in explanation(trace, Reach(partition=0, cut_off=["usage.frames"]))


def test_how_far_back_the_answer_reaches_is_told_with_the_reason() -> None:
    reach = Reach(partition=0, begin_ms=EDGE_MS, read_from_ms=EDGE_MS, events={0: (5, EDGE_MS - 1000)}, dedup_s=86_400)
    assert why(reach).startswith("frames are kept and were read from 2025-07-31T00:00:00Z on; the records themselves")
    assert "kept from 2025-07-30T23:59:59Z on" in why(reach)
    assert "for 1 days after" in why(reach)
    later = replace(reach, read_from=3, read_from_ms=EDGE_MS + DAY_MS, dedup_s=None)
    assert "from 2025-08-01T00:00:00Z on, as asked for, and are kept from 2025-07-31T00:00:00Z" in why(later)
    assert "for ever" in why(later)
    assert why(Reach(partition=0)).count("no time yet") == 2


def test_an_identity_is_looked_for_without_decoding_the_frame() -> None:
    [frames] = TopicReader(1, first_ms=EDGE_MS).read([event_line(event_id, EDGE_MS - HOUR_MS) for event_id in "abcde"])
    [one, two] = frames
    assert [look_for(frame, hashed("b"))[1] for frame in (one, two)] == [True, False]
    assert look_for(one, hashed("b"))[0] == decode_frame(one).header
    for wrong in (b"", None, one[:-1], b"\x90"):
        with pytest.raises(WrongFrame):
            look_for(wrong, 1)


def test_a_frame_that_cannot_be_read_or_of_another_secret_is_told() -> None:
    [frames] = TopicReader(1, first_ms=EDGE_MS).read([event_line("a", EDGE_MS - HOUR_MS)])
    found = search([b"no frame", *frames])
    assert (found.unreadable, found.unreadable_count, len(found.found)) == ([0], 1, 1)
    foreign = FrameSearch(hashed("a"), "another", {})
    foreign.look(0, 0, frames[0])
    assert (foreign.foreign, foreign.found) == (1, [])


def test_a_moment_that_no_calendar_has_is_null() -> None:
    trace = judge(Evidence(applied_offset=9, events=[frame_event(1, 1, 1 << 55)]))
    [record] = trace_members(IDENTITY, trace, Reach(partition=0))["records"]
    assert record["event"]["time"] is None


async def test_the_index_is_asked_in_every_period_and_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.dedup_index.SET_TARGET", 2)
    store = await begun(1)
    times_ms = (EDGE_MS, EDGE_MS + 90 * DAY_MS)
    lines = [event_line(f"id{number}", times_ms[number % 2]) for number in range(200)]
    await fold_logs(store, TopicReader(1, first_ms=EDGE_MS + 400 * DAY_MS).read(lines))
    assert any("/1/" in key for key in store.partitions[0].sets), "one generation held all"
    for number in (0, 1, 198, 199):
        known = await look_up(store, PartitionId(0), 1, hashed(f"id{number}"))
        assert known.periods == [times_ms[number % 2] // PERIOD_MS]
    known = await look_up(store, PartitionId(0), 1, hashed("another"))
    assert known.state is not None
    assert known.periods == []


class SwappedStore(MemoryCounterStore):
    """A store that a rebuild swaps in another epoch of right after its state was asked for."""

    async def state(self, partition: PartitionId) -> PartitionState | None:
        state = await super().state(partition)
        assert state is not None
        self.partitions[partition] = MemoryPartition(state=replace(state, epoch=Epoch(state.epoch + 1)))
        return state


async def test_keys_of_an_epoch_that_was_replaced_meanwhile_tell_nothing_of_the_index() -> None:
    store = SwappedStore(1)
    store.partitions = (await begun(1)).partitions
    with pytest.raises(StoreUnavailable, match="a rebuild replaced the counters"):
        await look_up(store, PartitionId(0), 1, hashed("a"))


def test_periods_to_ask_cover_each_month_whole_and_the_latest_weeks() -> None:
    periods = periods_to_ask([0], 5 * PERIOD_MS * 1000)
    assert periods[:5] == [0, 1, 2, 3, 4]
    assert periods[5:] == list(range(4_988, 5_002))


def letter(reason: str, value: bytes | None, topic: str = "events", offset: int = 5) -> DeadLetter:
    origin = DeadLetterOrigin(reason=reason, field=None, topic=topic, partition=0, offset=offset, rejected_at_ms=1)
    return DeadLetter(partition=1, offset=2, timestamp_ms=1, origin=origin, key=None, value=value, headers=())


def test_dead_letters_of_usage_are_found_and_those_of_the_directory_are_not() -> None:
    letters = LetterSearch(IDENTITY, TOPICS, 0, lambda: FrameSearch(hashed("a"), FINGERPRINT, {}))
    line = event_line("a", EDGE_MS)
    letters.look(letter("negative", line))
    letters.look(letter("negative", line, topic=TOPICS.directory))
    letters.look(letter("negative", event_line("b", EDGE_MS)))
    letters.look(replace(letter("negative", line), origin=None))
    assert [(each.offset, each.letter_offset, each.exact) for each in letters.found] == [(5, 2, True)]


def test_an_event_is_found_in_a_skipped_frame_that_is_no_longer_in_the_log() -> None:
    [[frame]] = TopicReader(1, first_ms=EDGE_MS).read([event_line("a", EDGE_MS - HOUR_MS)])
    letters = LetterSearch(IDENTITY, TOPICS, 0, lambda: FrameSearch(hashed("a"), FINGERPRINT, {}))
    letters.look(letter(Reason.SKIPPED_FRAME, frame, topic="frames", offset=8))
    letters.look(letter(Reason.SKIPPED_FRAME, b"no frame", topic="frames", offset=9))
    assert letters.skipped == {8, 9}
    assert [each.frame_offset for each in letters.in_frames_before(9)] == [8]
    assert letters.in_frames_before(8) == []


def changed(**changes: Any) -> bytes:
    return event_line("a", EDGE_MS, **changes)


def values() -> Iterator[tuple[bytes, Match]]:
    yield changed(), Match.EXACT
    yield changed(data={"interactions": -1}), Match.EXACT
    yield changed(source=None), Match.LIKELY
    yield changed(organizationid=""), Match.LIKELY
    yield changed(source=17), Match.LIKELY
    yield changed(organizationid="other"), Match.NO
    yield changed(id="b"), Match.NO
    yield changed(id="b", data={"note": "a"}), Match.NO
    yield changed()[:-1], Match.LIKELY
    yield b"[" + changed() + b"]", Match.LIKELY
    yield changed(organizationid="other")[:-1], Match.NO
    yield changed().replace(b'"a"', b'"\\u0061"'), Match.EXACT
    yield b'"a"', Match.NO
    yield b"\xff", Match.NO
    yield b"[" * 100_000, Match.NO


@pytest.mark.parametrize(("value", "expected"), list(values()))
def test_a_record_is_the_event_as_far_as_it_can_be_read(value: bytes, expected: Match) -> None:
    assert IDENTITY.match(value) is expected


def test_an_event_in_binary_mode_is_found_by_its_headers() -> None:
    headers = [("ce_id", b"a"), ("ce_source", b"tests"), ("ce_organizationid", b"acme"), ("other", None)]
    assert IDENTITY.match(b"{}", headers) is Match.EXACT
    assert IDENTITY.match(None, headers[:2]) is Match.LIKELY
    assert IDENTITY.match(None, [("ce_id", b"b"), *headers[1:]]) is Match.NO
    assert IDENTITY.match(None) is Match.NO


def test_an_id_that_json_may_write_in_two_ways_is_found_in_both() -> None:
    identity = replace(IDENTITY, id="späť/1")
    for ascii_only in (True, False):
        value = json.dumps({"id": "späť/1", "source": "tests", "organizationid": "acme"}, ensure_ascii=ascii_only)
        assert identity.match(value.encode()) is Match.EXACT
        assert identity.match(value[:-1].encode()) is Match.LIKELY
