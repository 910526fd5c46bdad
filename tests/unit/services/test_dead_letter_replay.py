"""What is sent of the dead letters, unchanged or corrected, and what is said of the rest."""

import json
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.judging import Judge
from services.cli.dead_letter_rows import members
from services.dead_letter_edits import BadLine, Edit, EditRules, correct, read_edits
from services.dead_letter_fate import Outgoing, ReplayRules, Skipped, Why, fate
from services.dead_letter_log import DeadLetter
from services.event_rules import read_time_ms
from services.replays import ReplayNote
from services.settings import Settings
from services.settings_loading import load_settings
from services.windows import DAY_MS
from tests.support.broken import ways
from tests.support.dead_letters import BINARY, EVENT, HEADERS, event, letter

pytestmark = pytest.mark.unit

NOW_MS = read_time_ms("2026-08-22T08:00:00Z")
NOTE = ReplayNote(offsets=(17,), at_ms=5, edited=False, run="r")
LIMITED = load_settings()
LIFTED = load_settings({"events": {"max_age": "none", "keep_hours": "none", "keep_days": "none"}})


def rules(settings: Settings = LIMITED, **options: bool) -> ReplayRules:
    return ReplayRules.of(settings, **({"again": False, "keep_old": False, "force": False} | options))


def why(one: DeadLetter, settings: Settings = LIMITED, now_ms: int = NOW_MS, **options: bool) -> Why | None:
    """Return why a letter is not sent, None when it is."""
    outcome = fate(one, None, rules(settings, **options), Judge(settings), now_ms)
    return outcome.why if isinstance(outcome, Skipped) else None


def test_what_ingest_would_take_now_is_sent_as_it_was() -> None:
    one = letter(reason="unknown_field", headers=(("trace", b"\xff"),))
    sent = fate(one, None, rules(), Judge(LIMITED), NOW_MS)
    assert sent == Outgoing(
        letter=one.id, descent=None, topic="usage.events", key=b"acme", value=EVENT, headers=(("trace", b"\xff"),)
    )


def test_what_would_be_refused_again_is_not_sent_but_by_force() -> None:
    for bad in (event(id=""), b"{", None):
        assert why(letter(value=bad)) is Why.REFUSED_AGAIN
        assert why(letter(value=bad), force=True) is None
    wrong_mode = letter(value=BINARY, headers=HEADERS[:-1])
    assert why(wrong_mode) is Why.REFUSED_AGAIN
    assert why(replace(wrong_mode, headers=HEADERS)) is None


def test_a_time_that_lay_ahead_is_sent_once_it_has_come() -> None:
    early = letter(reason="in_the_future")
    assert why(early, now_ms=NOW_MS - DAY_MS) is Why.REFUSED_AGAIN
    assert why(early) is None


def test_what_is_too_old_by_now_is_never_sent_under_the_limit_and_only_by_word_without_one() -> None:
    old = letter(reason="too_old", value=event(time="2026-01-01T00:00:00Z"))
    grown_old = replace(old, origin=letter(reason="negative").origin)
    assert why(old) is why(grown_old) is Why.TOO_OLD
    assert why(old, force=True) is Why.TOO_OLD
    assert why(old, LIFTED) is Why.TOO_OLD
    assert why(old, LIFTED, keep_old=True) is None
    # The limit was raised meanwhile.
    assert why(letter(reason="too_old")) is None


def test_frames_and_strangers_are_never_sent_and_the_replayed_only_again() -> None:
    for insists in (False, True):
        frame = letter(reason="skipped_frame", topic="usage.frames")
        assert why(frame, force=insists, again=insists) is Why.FRAME
        for stranger in (letter(topic="of.another.deployment"), replace(letter(), origin=None)):
            assert why(stranger, force=insists, again=insists) is Why.NO_ORIGIN
    replayed = fate(letter(), NOTE, rules(), Judge(LIMITED), NOW_MS)
    assert isinstance(replayed, Skipped)
    assert replayed.why is Why.REPLAYED
    assert isinstance(fate(letter(), NOTE, rules(again=True), Judge(LIMITED), NOW_MS), Outgoing)


def test_a_directory_event_is_judged_by_its_own_contract() -> None:
    assert why(letter(topic="usage.directory")) is Why.REFUSED_AGAIN
    record = {"version": 1, "action": "upsert", "name": "Acme"}
    old = event(type="directory.organization", subject="acme", time="2001-01-01T00:00:00Z", data=record)
    assert why(letter(topic="usage.directory", value=old)) is None


def edits(*lines: object) -> list[Edit | BadLine]:
    return list(read_edits(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))


def corrected(
    one: DeadLetter, line: dict[str, object], *, new_identity: bool = False, force: bool = False
) -> Outgoing | Skipped | BadLine:
    [edit] = edits({"id": "0:17"} | line)
    assert isinstance(edit, Edit), edit
    wanted = EditRules(replay=rules(force=force), new_identity=new_identity)
    return correct(edit, one, None, wanted, Judge(LIMITED), NOW_MS)


def test_every_broken_record_is_mended_by_the_line_of_the_list_with_the_event_put_right() -> None:
    for reason, break_it in ways():
        bad = letter(reason=reason, value=break_it(json.loads(EVENT)))
        assert isinstance(corrected(bad, as_listed(bad)), BadLine), reason
        # Spaces alone make no other event: that record is put right as text.
        right = {"value": {"text": EVENT.decode()}} if reason == "too_large" else {"event": json.loads(EVENT)}
        mended = corrected(bad, as_listed(bad) | right, new_identity=reason == "in_the_future")
        assert isinstance(mended, Outgoing), (reason, mended)
        assert json.loads(mended.value or b"") == json.loads(EVENT)


def as_listed(one: DeadLetter) -> dict[str, object]:
    line: dict[str, object] = json.loads(msgspec.json.encode(members(one)))
    return line


@given(
    value=st.none() | st.binary(max_size=40) | st.sampled_from([EVENT, BINARY]),
    key=st.none() | st.binary(max_size=10),
    headers=st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3),
    binary=st.booleans(),
)
def test_a_line_of_the_list_handed_back_unchanged_is_the_same_record(
    value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes]], *, binary: bool
) -> None:
    one = letter(value=value, key=key, headers=(*headers, *(HEADERS if binary else ())))
    back = corrected(one, as_listed(one), force=True)
    assert isinstance(back, Outgoing), back
    assert (back.value, back.key, tuple(back.headers)) == (value, key, one.headers)


def test_what_a_line_does_not_give_stays_and_an_event_replaces_attributes_in_headers() -> None:
    bad = letter(value=b'{"interactions":-1}', headers=(("trace", b"t"), *HEADERS))
    mended = corrected(bad, {"event": json.loads(EVENT)})
    assert isinstance(mended, Outgoing)
    assert (mended.key, mended.headers) == (b"acme", [("trace", b"t")])
    in_its_mode = corrected(bad, {"value": {"text": BINARY.decode()}})
    assert isinstance(in_its_mode, Outgoing)
    assert (in_its_mode.value, in_its_mode.headers) == (BINARY, bad.headers)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "e2"}, "id"),
        ({"source": "other"}, "source"),
        ({"organizationid": "other"}, "organizationid"),
        ({"time": "2026-08-22T08:00:01Z"}, "time"),
    ],
)
def test_another_identity_or_time_needs_a_word(changes: dict[str, object], field: str) -> None:
    bad = letter(value=event(data={"interactions": -1}))
    line: dict[str, object] = {"event": json.loads(event(**changes))}
    refused = corrected(bad, line)
    assert isinstance(refused, BadLine)
    assert refused.field == field
    assert "--allow-new-identity" in refused.remedy
    assert isinstance(corrected(bad, line, new_identity=True), Outgoing)


def test_an_identity_that_could_not_be_read_may_become_any() -> None:
    for name in ("id", "source", "organizationid", "time"):
        bad = letter(value=event(**{name: ""}))
        assert isinstance(corrected(bad, {"event": json.loads(EVENT)}), Outgoing)
    assert isinstance(corrected(letter(value=b"half"), {"event": json.loads(EVENT)}), Outgoing)


def test_a_bad_line_is_told_with_its_number_its_field_and_what_to_do() -> None:
    told = edits(
        {"id": "0:1", "event": {}},
        b"",
        b"no json",
        {"event": {}},
        {"id": "17"},
        {"id": "0:1", "event": {}},
        {"id": "0:2", "value": {"base64": "!"}},
        b'{"id":"0:3","event":{"a":"\\ud800"}}',
    )
    bad = [(each.line, each.field) for each in told if isinstance(each, BadLine)]
    assert bad == [(3, None), (4, None), (5, "id"), (6, "id"), (7, "base64"), (8, None)]
    [unknown] = edits({"id": "0:9", "event": {}})
    assert isinstance(unknown, Edit)
    missing = correct(unknown, None, None, EditRules(replay=rules()), Judge(LIMITED), NOW_MS)
    assert str(missing) == "line 1, id: there is no dead letter 0:9; take the line out"


def test_a_correction_that_ingest_would_refuse_is_a_bad_line_with_field_and_remedy() -> None:
    bad = letter(value=event(data={"interactions": -1}))
    refused = corrected(bad, {"event": json.loads(event(data={"interactions": 1.5}))})
    assert isinstance(refused, BadLine)
    assert refused.field == "data.interactions"
    assert "without fraction" in refused.remedy
    both = corrected(bad, {"event": json.loads(EVENT), "value": {"text": "{}"}})
    assert isinstance(both, BadLine)
    assert both.field == "event"
    frame = corrected(letter(reason="skipped_frame"), {"event": json.loads(EVENT)})
    assert isinstance(frame, BadLine)
    assert "frame" in frame.remedy
    old = corrected(bad, {"event": json.loads(event(time="2026-01-01T00:00:00Z"))}, new_identity=True)
    assert isinstance(old, BadLine)
    assert "--keep-old" in old.remedy
