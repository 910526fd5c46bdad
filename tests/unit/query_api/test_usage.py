from fractions import Fraction
from functools import reduce
from operator import or_

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from query_api.cells import READ_FIELDS_MAX, BlockCells, WantedActives, WantedCells, block_cells
from query_api.ranges import DAYS_MAX, AskedRange, Granularity, Kept, PlannedBlock, plan_blocks, runs_of
from query_api.schemas.usage import UsageBlock
from query_api.usage import Members, ratio, usage_blocks
from services.counters import ReadResult
from services.identifiers import OrganizationId, UserId
from services.keyspace import Kind, Scope, counter_key, period_and_place
from services.metrics_contract import (
    AGENT,
    CHAT,
    CODE_COMPLETIONS,
    COUNTERS_PER_PRODUCT_MAX,
    INSTRUCT,
    PRODUCTS,
    Product,
)
from services.windows import DAY_MS, HOUR_MS, Window

_COUNTERS = {Window.HOUR: Kind.HOURS, Window.DAY: Kind.DAYS}
_ACTIVE = {Window.HOUR: Kind.ACTIVE_HOURS, Window.DAY: Kind.ACTIVE_DAYS}
SERVED_COUNTERS = {CODE_COMPLETIONS: 4, CHAT: 4, AGENT: 5, INSTRUCT: 1}
BLOCK = PlannedBlock(start_hour=0, end_hour=24)


def served(
    amounts: dict[str, dict[str, int]], active: tuple[int, int, int, int] = (0, 0, 0, 0), active_in_any: int = 0
) -> Members:
    """Return the block of what was counted, by product and counter, and of how many were active."""
    sums = np.zeros((1, len(PRODUCTS), COUNTERS_PER_PRODUCT_MAX), dtype=np.int64)
    for product in PRODUCTS:
        for name, amount in amounts.get(product.name, {}).items():
            sums[0, product.code, product.counters.index(name)] = amount
    cells = BlockCells(sums=sums, active=np.array([active]), active_in_any=np.array([active_in_any]))
    [block] = usage_blocks([BLOCK], cells, [None])
    return block


def test_the_factors_of_the_contracts_only_numeric_example() -> None:
    block = served(
        {
            "codeCompletions": {"charsCompleted": 617_672, "keystrokes": 831_400},
            "chat": {"interactions": 31_336, "usefulChatInteractions": 17_411, "charsCompleted": 16_577},
        }
    )
    assert block["codeCompletions"]["automationFactor"] == 0.426
    assert block["productivityFactor"] == 0.433
    assert block["chat"]["chatConsumptionRate"] == 0.556


@pytest.mark.parametrize(
    ("part", "whole", "rounded"),
    [(1, 2000, 0.001), (1, 2001, 0.0), (3, 2000, 0.002), (1, 3, 0.333), (2, 3, 0.667), (5, 5, 1.0), (0, 7, 0.0)],
)
def test_factors_round_half_up_to_three_decimals(part: int, whole: int, rounded: float) -> None:
    assert ratio(part, whole) == rounded


@given(st.integers(1, 2**53), st.data())
def test_rounding_is_exact_for_every_amount(whole: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, whole))
    rounded = ratio(part, whole)
    assert rounded is not None
    thousandths = round(rounded * 1000)
    assert (
        Fraction(thousandths) - Fraction(1, 2) <= Fraction(1000 * part, whole) < Fraction(thousandths) + Fraction(1, 2)
    )


def test_a_factor_without_denominator_is_left_out_and_every_product_is_there() -> None:
    assert served({}) == {
        "from": "1970-01-01T00:00:00Z",
        "to": "1970-01-02T00:00:00Z",
        "complete": None,
        "activeUsers": 0,
        "codeCompletions": {"activeUsers": 0, "completions": 0, "charsCompleted": 0, "keystrokes": 0, "lines": 0},
        "chat": {
            "activeUsers": 0,
            "interactions": 0,
            "usefulChatInteractions": 0,
            "lines": 0,
            "charsCompleted": 0,
        },
        "agent": {
            "activeUsers": 0,
            "interactions": 0,
            "linesAdded": 0,
            "linesAddedAccepted": 0,
            "linesRemoved": 0,
            "linesRemovedAccepted": 0,
        },
        "instruct": {"acceptedCount": 0},
    }


def test_agent_lines_take_no_part_in_productivity() -> None:
    assert "productivityFactor" not in served({"agent": {"linesAdded": 10}})


@pytest.mark.parametrize("product", [CODE_COMPLETIONS, CHAT, AGENT, INSTRUCT])
def test_each_member_is_the_counter_of_its_name(product: Product) -> None:
    amounts = {name: place + 1 for place, name in enumerate(product.counters)}
    members = served({product.name: amounts})[product.name]
    counters = {name: amount for name, amount in members.items() if name in amounts}
    assert counters == {name: amounts[name] for name in counters}
    assert len(counters) == SERVED_COUNTERS[product]


def test_active_users_stand_with_their_product() -> None:
    block = served({}, active=(3, 2, 1, 9), active_in_any=4)
    assert block["activeUsers"] == 4
    assert [block[name]["activeUsers"] for name in ("codeCompletions", "chat", "agent")] == [3, 2, 1]


counted = st.fixed_dictionaries(
    {
        product.name: st.fixed_dictionaries({}, optional={name: st.integers(0, 99) for name in product.counters})
        for product in PRODUCTS
    }
)


@given(counted, st.tuples(*[st.integers(0, 9)] * 4))
def test_a_block_is_what_its_model_says_to_the_last_byte(
    amounts: dict[str, dict[str, int]], active: tuple[int, int, int, int]
) -> None:
    block = served(amounts, active, sum(active))
    described = UsageBlock.model_validate(block, extra="forbid", strict=True)
    assert described.model_dump_json(by_alias=True).encode() == msgspec.json.encode(block)


windows_of_two = st.lists(st.none() | st.binary(max_size=20), min_size=8, max_size=8)


@given(windows_of_two)
@example([b"\x01"] * 8)
def test_active_users_of_several_windows_and_products_are_united(bitmaps: list[bytes | None]) -> None:
    organization = OrganizationId("acme")
    two_days = PlannedBlock(start_hour=0, end_hour=48)
    counters: list[bytes | None] = [None] * 8
    raw = WantedCells(Scope(organization=organization), [two_days]).blocks(read([b"7", *counters, *bitmaps]))
    assert raw is not None
    found = block_cells(raw)
    users = [int.from_bytes(bitmap or b"", "little") for bitmap in bitmaps]
    by_product = [one | other for one, other in zip(users[:4], users[4:], strict=True)]
    assert found.active.tolist() == [[each.bit_count() for each in by_product]]
    assert found.active_in_any.tolist() == [reduce(or_, by_product).bit_count()]
    alone = WantedActives(organization, [two_days]).active_in_any(read(bitmaps))
    assert alone == found.active_in_any.tolist()
    apart = WantedActives(organization, [BLOCK, PlannedBlock(start_hour=24, end_hour=48)]).active_in_any(read(bitmaps))
    assert apart == [reduce(or_, each).bit_count() for each in (users[:4], users[4:])]


def test_a_users_request_reads_no_bitmaps() -> None:
    organization = OrganizationId("acme")
    whole = WantedCells(Scope(organization=organization), [BLOCK]).request("p:")
    alone = WantedCells(Scope(organization=organization, user=UserId("ada")), [BLOCK]).request("p:")
    assert [group[0] for group in whole.fields] == ["p:i:acme", "p:d:acme/0", "p:da:acme/0"]
    assert [group[0] for group in alone.fields] == ["p:i:acme", "p:d:acme/u/ada/0"]


@pytest.mark.parametrize(
    ("granularity", "from_ms", "to_ms"),
    [
        (Granularity.ALL, HOUR_MS, DAYS_MAX * DAY_MS - HOUR_MS),
        (Granularity.WEEKLY, HOUR_MS, DAYS_MAX * DAY_MS - HOUR_MS),
        (Granularity.DAILY, HOUR_MS, 400 * DAY_MS - HOUR_MS),
        (Granularity.HOURLY, 1, 31 * DAY_MS + 1),
    ],
)
def test_the_longest_ranges_stay_within_one_read(granularity: Granularity, from_ms: int, to_ms: int) -> None:
    asked = AskedRange(from_ms=from_ms, to_ms=to_ms, granularity=granularity)
    blocks = plan_blocks(asked, Kept(first_hour=None, first_day=None), to_ms)
    request = WantedCells(Scope(organization=OrganizationId("acme")), blocks).request("p:")
    assert sum(len(group) - 1 for group in request.fields) <= READ_FIELDS_MAX


@given(start=st.integers(-9_000, 9_000), hours=st.integers(1, 3_000), granularity=st.sampled_from(Granularity))
def test_each_window_of_each_block_is_read_once_and_in_order(start: int, hours: int, granularity: Granularity) -> None:
    asked = AskedRange(from_ms=start * HOUR_MS, to_ms=(start + min(hours, 700)) * HOUR_MS, granularity=granularity)
    blocks = plan_blocks(asked, Kept(first_hour=None, first_day=None), asked.to_ms)
    scope = Scope(organization=OrganizationId("acme"))
    windows = [(window, number) for block in blocks for window, numbers in runs_of(block) for number in numbers]
    _, *groups = WantedCells(scope, blocks).request("p:").fields
    found = [(key, field) for key, *fields in groups for field in fields]
    for kinds, part in ((_COUNTERS, found[: len(found) // 2]), (_ACTIVE, found[len(found) // 2 :])):
        places = [(kinds[window], *period_and_place(window, number)) for window, number in windows]
        assert part == [
            (counter_key("p:", kind, scope, period), str(place * len(PRODUCTS) + product.code))
            for kind, period, place in places
            for product in PRODUCTS
        ]


def read(fields: list[bytes | None]) -> ReadResult:
    return ReadResult(state=None, fields=fields, members=(), whole=())
