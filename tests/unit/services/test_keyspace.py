"""Keys: different things never lie under one key, and a key says what it holds."""

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from redis.crc import key_slot

from services.identifiers import Epoch, OrganizationId, TeamId, UserId
from services.keyspace import (
    FIELDS_MAX,
    PARTITIONS_KEY,
    SLOTS,
    CounterKey,
    Kind,
    Scope,
    counter_field,
    counter_key,
    epoch_prefix,
    escape,
    ids_key,
    index_key,
    ledger_key,
    parse_counter_key,
    partition_of,
    period_and_place,
    scope_part,
    state_key,
    tags,
    unescape,
)
from services.metrics_contract import PRODUCTS
from services.windows import Window, first_day_of_month

PREFIX = epoch_prefix("7", Epoch(3))
NAMES = st.text(st.sampled_from("ab%/25Fut:{}é")) | st.text(max_size=8)


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    team, user = draw(st.sampled_from([(True, False), (False, True), (False, False)]))
    return Scope(
        organization=OrganizationId(draw(NAMES)),
        team=TeamId(draw(NAMES)) if team else None,
        user=UserId(draw(NAMES)) if user else None,
    )


COUNTER_KEYS = st.builds(CounterKey, st.sampled_from(Kind), scopes(), st.integers(-30_000, 30_000))


@given(NAMES)
@example("%2F")
@example("%252F%")
@example("a/b%25")
def test_an_escaped_name_comes_back_and_holds_no_slash(name: str) -> None:
    assert unescape(escape(name)) == name
    assert "/" not in escape(name)


@given(NAMES, NAMES)
def test_different_names_are_escaped_differently(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@given(scopes(), scopes())
@example(Scope(organization=OrganizationId("a/t/b")), Scope(organization=OrganizationId("a"), team=TeamId("b")))
def test_different_scopes_never_have_one_key(one: Scope, other: Scope) -> None:
    assert (scope_part(one) == scope_part(other)) == (one == other)
    assert (index_key(PREFIX, one) == index_key(PREFIX, other)) == (one == other)


@given(COUNTER_KEYS, COUNTER_KEYS)
def test_different_counters_never_have_one_key(one: CounterKey, other: CounterKey) -> None:
    assert (counter_key(PREFIX, *one) == counter_key(PREFIX, *other)) == (one == other)


@given(COUNTER_KEYS)
def test_a_counter_key_is_read_back(named: CounterKey) -> None:
    assert parse_counter_key(counter_key(PREFIX, *named), PREFIX) == named


@given(COUNTER_KEYS)
def test_a_counter_key_of_another_epoch_or_partition_is_none_of_ours(named: CounterKey) -> None:
    key = counter_key(PREFIX, *named)
    assert parse_counter_key(key, epoch_prefix("7", Epoch(31))) is None
    assert parse_counter_key(key, epoch_prefix("17", Epoch(3))) is None


@pytest.mark.parametrize(
    "key",
    [
        PARTITIONS_KEY,
        state_key("7"),
        index_key(PREFIX, Scope(organization=OrganizationId("acme"))),
        ids_key(PREFIX, 2_900),
        f"{ids_key(PREFIX, 2_900)}/0/15",
        ledger_key(PREFIX, "usage.events", 3, 20_000),
        f"{PREFIX}h:acme/x/core/20000",
        "another",
    ],
)
def test_what_holds_no_counters_is_not_read_as_a_counter_key(key: str) -> None:
    assert parse_counter_key(key, PREFIX) is None


@pytest.mark.parametrize("partitions", [1, 2, 3, 8, 16, 17, 64, 256])
def test_tags_lie_in_equal_shares_of_the_slots_one_each_and_in_order(partitions: int) -> None:
    slots = [key_slot(state_key(tag).encode()) for tag in tags(partitions)]
    assert [slot * partitions // SLOTS for slot in slots] == list(range(partitions))
    assert slots == sorted(slots)
    assert len(set(tags(partitions))) == partitions


def test_all_keys_of_a_partition_lie_in_one_slot() -> None:
    for tag in tags(16):
        prefix = epoch_prefix(tag, Epoch(1))
        # What stands behind the tag may hold braces: only the first pair counts.
        scope = Scope(organization=OrganizationId("{0}"), user=UserId("}{9}"))
        keys = [state_key(tag), counter_key(prefix, Kind.HOURS, scope, 1), ids_key(prefix, 4)]
        assert len({key_slot(key.encode()) for key in keys}) == 1


def test_tags_and_partitions_are_what_they_were_in_every_release() -> None:
    # Others would not find what a deployment has counted.
    assert tags(16)[:10] == ("0-4", "1-3", "2-43", "3-40", "4-13", "5-10", "6-20", "7-23", "8-43", "9")
    assert [partition_of(name, 16) for name in ("", "acme", "é", "😀" * 64)] == [0, 14, 14, 14]


def test_organizations_spread_over_the_partitions() -> None:
    counts = Counter(partition_of(f"organization-{number}", 16) for number in range(16_000))
    assert set(counts) == set(range(16))
    assert max(counts.values()) < 1_300


@given(st.sampled_from(Window), st.integers(-900_000, 900_000), st.sampled_from(PRODUCTS))
def test_a_hash_holds_no_more_fields_than_a_listpack(window: Window, number: int, product: object) -> None:
    number = number if window is Window.HOUR else number // 24
    period, place = period_and_place(window, number)
    code = PRODUCTS.index(product)
    assert 0 <= counter_field(place, code) < FIELDS_MAX <= 128
    match window:
        case Window.HOUR:
            assert period * 24 + place == number
        case Window.DAY:
            assert first_day_of_month(period) + place == number
