"""What somebody else wrote under the counters' keys is told, and never takes verify down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.comparing import ledger_hour, read_key, window_start_ms
from aggregator.strangers import Strangers
from services.dedup_index import PERIOD_MS, read_period
from services.event_rules import FIRST_MS, LAST_MS
from services.identifiers import OrganizationId
from services.keyspace import Kind, Scope, counter_field, counter_key, ids_key, ledger_key, period_and_place
from services.verification import Part
from services.windows import DAY_MS, HOUR_MS, Window, rfc3339

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("h:acme", Part.COUNTERS),
        ("h:acme/noon", Part.COUNTERS),
        ("d:acme/999999999999", Part.COUNTERS),
        ("ha:acme/9999999", Part.ACTIVE_USERS),
        ("l:events/0", Part.LEDGER),
        ("l:events/0/999999999", Part.LEDGER),
        ("x:week", Part.IDS),
        ("x:999999999", Part.IDS),
        ("zzz:acme/1", Part.STATE),
    ],
)
def test_a_key_of_no_known_form_is_told(name: str, part: Part) -> None:
    strangers = Strangers(3)
    assert strangers.known_names([name, "h:acme/20000", "rv"]) == {"h:acme/20000", "rv"}
    [told] = strangers.differences()
    assert (told.partition, told.part, told.place, told.log) == (3, part, {"key": name}, None)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("h:acme/20000", b"noon", b""),
        ("d:acme/600", b"99999", b""),
        ("l:events/0/20000", b"", b""),
        ("x:2900", b"0", b"many"),
        ("x:2900", b"first", b"1:1"),
        ("i:acme", b"\xff", b"1"),
    ],
)
def test_a_field_of_no_known_form_is_told_and_the_others_are_compared(name: str, field: bytes, value: bytes) -> None:
    strangers = Strangers(0)
    good = {b"7": b"1:1"}
    assert strangers.known_fields(name, good | {field: value}) == good
    [told] = strangers.differences()
    assert told.place["key"] == name
    assert strangers.known_fields("r:acme/1", {b"anything": b"at all"}) == {b"anything": b"at all"}


def test_members_that_are_no_identities_are_told() -> None:
    strangers = Strangers(0)
    assert strangers.known_members("x:1/0/0", [b"-5", b"abc", b"%d" % (1 << 63), b"7"]) == [-5, 7]
    assert len(strangers.differences()) == 2


@given(st.integers(FIRST_MS, LAST_MS), st.integers(0, 3))
def test_nothing_that_is_written_for_an_event_of_any_time_is_a_stranger(time_ms: int, product: int) -> None:
    scope = Scope(organization=OrganizationId("a"))
    day, place = period_and_place(Window.HOUR, time_ms // HOUR_MS)
    month, day_of_month = period_and_place(Window.DAY, time_ms // DAY_MS)
    fields = {
        counter_key("", Kind.HOURS, scope, day): counter_field(place, product),
        counter_key("", Kind.DAYS, scope, month): counter_field(day_of_month, product),
        ids_key("", time_ms // PERIOD_MS): 3,
        ledger_key("", "usage.events", 4, max(0, time_ms // DAY_MS)): place,
    }
    strangers = Strangers(0)
    assert strangers.known_names(fields) == set(fields)
    for name, number in fields.items():
        known = {b"%d" % number: b"16:3738"}
        assert strangers.known_fields(name, known) == known
    assert strangers.differences() == []


@given(st.from_regex(r"\A(?:h|d|ha|da|l|x):[^ ]{0,24}\Z"), st.binary(max_size=5), st.binary(max_size=5))
def test_what_is_known_can_be_read(name: str, field: bytes, value: bytes) -> None:
    strangers = Strangers(0)
    for known in strangers.known_names([name]):
        for one in strangers.known_fields(known, {field: value}):
            if (key := read_key(known)) is not None:
                rfc3339(max(0, window_start_ms(key, b"0")))
                window_start_ms(key, one)
            elif known.startswith("l:"):
                rfc3339(ledger_hour(known, one) * HOUR_MS)
            else:
                read_period({one: value})
