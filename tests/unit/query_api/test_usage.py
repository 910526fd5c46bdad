from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.cells import FIELDS_MAX, BlockCells, read_request
from query_api.ranges import DAYS_MAX, AskedRange, Granularity, Kept, PlannedBlock, plan_blocks
from query_api.usage import ratio, usage_block
from services.identifiers import OrganizationId, UserId
from services.keyspace import Scope
from services.metrics_contract import CHAT, CODE_COMPLETIONS, COUNTERS_PER_PRODUCT_MAX, PRODUCTS, Product
from services.windows import DAY_MS, HOUR_MS

BLOCK = PlannedBlock(start_hour=0, end_hour=24)


def cells(amounts: dict[str, dict[str, int]], active: tuple[int, int, int, int] = (0, 0, 0, 0)) -> BlockCells:
    sums = np.zeros((len(PRODUCTS), COUNTERS_PER_PRODUCT_MAX), dtype=np.int64)
    for product in PRODUCTS:
        for name, amount in amounts.get(product.name, {}).items():
            sums[product.code, product.counters.index(name)] = amount
    return BlockCells(sums=sums, active=active)


def test_the_factors_of_the_contracts_only_numeric_example() -> None:
    block = usage_block(
        BLOCK,
        cells(
            {
                "codeCompletions": {"charsCompleted": 617_672, "keystrokes": 831_400},
                "chat": {"interactions": 31_336, "usefulChatInteractions": 17_411, "charsCompleted": 16_577},
            }
        ),
    )
    assert block.code_completions.automation_factor == 0.426
    assert block.productivity_factor == 0.433
    assert block.chat.chat_consumption_rate == 0.556


@pytest.mark.parametrize(
    ("part", "whole", "rounded"),
    [(1, 2000, 0.001), (1, 2001, 0.0), (3, 2000, 0.002), (1, 3, 0.333), (2, 3, 0.667), (5, 5, 1.0), (0, 7, 0.0)],
)
def test_factors_round_half_up_to_three_decimals(part: int, whole: int, rounded: float) -> None:
    assert ratio(part, whole) == rounded


@given(st.integers(1, 2**53), st.data())
def test_rounding_is_exact_for_every_amount(whole: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, whole))
    served = ratio(part, whole)
    assert served is not None
    thousandths = round(served * 1000)
    assert (
        Fraction(thousandths) - Fraction(1, 2) <= Fraction(1000 * part, whole) < Fraction(thousandths) + Fraction(1, 2)
    )


def test_a_factor_without_denominator_is_left_out_and_every_product_is_there() -> None:
    body = usage_block(BLOCK, cells({})).model_dump(by_alias=True)
    assert body == {
        "from": "1970-01-01T00:00:00Z",
        "to": "1970-01-02T00:00:00Z",
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
    assert usage_block(BLOCK, cells({"agent": {"linesAdded": 10}})).productivity_factor is None


def test_active_in_any_product_is_a_union_not_a_sum() -> None:
    block = usage_block(BLOCK, cells({}, active=(0b0111, 0b0011, 0b1000, 0b0001)))
    assert block.active_users == 4
    assert (block.code_completions.active_users, block.chat.active_users, block.agent.active_users) == (3, 2, 1)


@pytest.mark.parametrize(("product", "member"), [(CODE_COMPLETIONS, "codeCompletions"), (CHAT, "chat")])
def test_each_member_is_the_counter_of_its_name(product: Product, member: str) -> None:
    amounts = {name: place + 1 for place, name in enumerate(product.counters)}
    served = usage_block(BLOCK, cells({product.name: amounts})).model_dump(by_alias=True)[member]
    counters = {name: amount for name, amount in served.items() if name in amounts}
    assert counters == {name: amounts[name] for name in counters}
    assert len(counters) == 4


def test_a_users_request_reads_no_bitmaps() -> None:
    organization = OrganizationId("acme")
    whole = read_request("p:", Scope(organization=organization), [BLOCK])
    alone = read_request("p:", Scope(organization=organization, user=UserId("ada")), [BLOCK])
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
    request = read_request("p:", Scope(organization=OrganizationId("acme")), blocks)
    assert sum(len(group) - 1 for group in request.fields) <= FIELDS_MAX
