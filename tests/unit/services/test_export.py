import json
from typing import Any

import pytest

from services.cell_rows import KeptFrom, kept_from, row_lines
from services.counters import StoreRefused
from services.export import export_rows, read_cell
from services.identifiers import OrganizationId, TeamId
from services.keyspace import Scope
from services.memory_counters import MemoryCounterStore
from services.metrics_contract import AGENT, CHAT, CODE_COMPLETIONS, INSTRUCT
from services.windows import HOUR_MS, Window
from tests.support.counted import Counted, Use

pytestmark = pytest.mark.unit

PARTITIONS = 4
HOUR = 495_000
FOR_EVER = KeptFrom(hour=None, day=None)


async def stored(*uses: Use) -> MemoryCounterStore:
    counted = Counted(partitions=PARTITIONS)
    for use in uses:
        counted.add(use)
    store = MemoryCounterStore(PARTITIONS)
    await counted.write(store)
    return store


async def exported(
    store: MemoryCounterStore, kept: KeptFrom = FOR_EVER, organization: str | None = None
) -> list[dict[str, Any]]:
    only = None if organization is None else OrganizationId(organization)
    return [json.loads(line) async for rows in export_rows(store, PARTITIONS, kept, only) for line in row_lines(rows)]


def completion(user: str, hour: int = HOUR, team: str | None = None, organization: str = "acme") -> Use:
    amounts = {"completions": 2, "keystrokes": 7}
    return Use(organization=organization, team=team, user=user, hour=hour, product=CODE_COMPLETIONS, amounts=amounts)


async def test_a_cell_has_every_counter_of_each_product_with_an_event_zeros_too() -> None:
    chat = Use(user="bo", team="red", hour=HOUR, product=CHAT, amounts={"messages": 3})
    rows = await exported(await stored(completion("ann"), completion("ann"), chat))
    (row,) = [row for row in rows if (row["team"], row["user"], row["window"]) == (None, None, "hour")]
    # The chat's leading count is 0: it counts, and makes nobody active.
    zeros = dict.fromkeys(CHAT.counters, 0)
    assert row["metrics"] == {
        "activeUsers": 1,
        "codeCompletions": {
            "activeUsers": 1,
            "completions": 4,
            "charsCompleted": 0,
            "keystrokes": 14,
            "lines": 0,
            "suggestions": 0,
        },
        "chat": {"activeUsers": 0, **zeros, "messages": 3},
    }
    assert list(row) == ["organization", "team", "user", "window", "start", "metrics"]


async def test_active_in_any_product_is_a_union_not_a_sum() -> None:
    agent = Use(user="ann", hour=HOUR, product=AGENT, amounts={"interactions": 1})
    instruct = Use(user="bo", hour=HOUR, product=INSTRUCT, amounts={"acceptedCount": 1})
    rows = await exported(await stored(completion("ann"), agent, instruct))
    (row,) = [row for row in rows if row["user"] is None and row["window"] == "day"]
    active = {name: each["activeUsers"] for name, each in row["metrics"].items() if name != "activeUsers"}
    assert row["metrics"]["activeUsers"] == 2
    assert active == {"codeCompletions": 1, "agent": 1, "instruct": 1}


async def test_a_user_is_active_or_not_by_the_leading_count() -> None:
    idle = Use(user="idle", hour=HOUR, product=CHAT, amounts={"messages": 9})
    rows = {row["user"]: row["metrics"] for row in await exported(await stored(completion("ann"), idle))}
    assert (rows["ann"]["activeUsers"], rows["ann"]["codeCompletions"]["activeUsers"]) == (1, 1)
    assert (rows["idle"]["activeUsers"], rows["idle"]["chat"]["activeUsers"]) == (0, 0)


async def test_rows_are_in_the_order_of_the_contract_by_code_point_and_null_first() -> None:
    organizations = ("acme", "Zeta", "Ærø", "acme 2", "a%/b", "\U0001f600", "\ue000")
    uses = [
        completion(user, HOUR + step, team, organization)
        for organization in organizations
        for user, team in (("b", "x"), ("a", None), ("B", "y"))
        for step in (0, 30, 31 * 24)
    ]
    rows = await exported(await stored(*uses))
    places = [(row["organization"], row["team"] or "", row["user"] or "", row["window"], row["start"]) for row in rows]
    assert places == sorted(places)
    assert len(set(places)) == len(places)
    assert {row["organization"] for row in rows} == set(organizations)
    assert rows[0]["window"] == "day"


async def test_only_the_organization_asked_for_is_exported() -> None:
    store = await stored(*(completion("u", organization=name) for name in ("acme", "acme2", "other")))
    assert {row["organization"] for row in await exported(store, organization="acme")} == {"acme"}
    assert await exported(store, organization="nobody") == []


async def test_windows_past_their_keep_time_are_left_out_although_their_hash_lives() -> None:
    now_ms = (HOUR + 3) * HOUR_MS
    store = await stored(completion("ann", HOUR), completion("ann", HOUR + 1), completion("ann", HOUR + 2))
    kept = kept_from(now_ms, keep_hours_s=3600, keep_days_s=None)
    starts = {row["start"] for row in await exported(store, kept) if row["window"] == "hour"}
    # The first ended two hours ago; the second an hour ago, to the millisecond: its time is up too.
    assert len(starts) == 1
    one_earlier = kept_from(now_ms - 1, keep_hours_s=3600, keep_days_s=None)
    assert len({row["start"] for row in await exported(store, one_earlier) if row["window"] == "hour"}) == 2


async def test_many_hashes_come_in_bounded_reads_and_none_is_lost() -> None:
    users = [f"user-{number:04d}" for number in range(500)]
    rows = await exported(await stored(*(completion(user, team="red") for user in users)))
    assert [row["user"] for row in rows if row["user"] and row["window"] == "day"] == users


async def test_another_number_of_partitions_is_refused() -> None:
    counted = Counted(partitions=8)
    for number in range(30):
        counted.add(completion("ann", organization=f"org-{number}"))
    store = MemoryCounterStore(8)
    await counted.write(store)
    with pytest.raises(StoreRefused, match=r"8 partitions, but topics\.frames_partitions is 4"):
        _ = [rows async for rows in export_rows(store, 4, FOR_EVER)]


async def test_an_empty_store_exports_nothing() -> None:
    assert await exported(MemoryCounterStore(PARTITIONS)) == []


async def test_one_cell_is_read_as_the_export_writes_it() -> None:
    store = await stored(completion("ann", team="red"), completion("bo"))
    scope = Scope(organization=OrganizationId("acme"), team=TeamId("red"))
    row = await read_cell(store, PARTITIONS, scope, Window.HOUR, HOUR, FOR_EVER)
    assert row is not None
    assert json.loads(next(row_lines([row]))) in await exported(store)
    assert await read_cell(store, PARTITIONS, scope, Window.HOUR, HOUR + 1, FOR_EVER) is None
    nobody = Scope(organization=OrganizationId("nobody"))
    assert await read_cell(store, PARTITIONS, nobody, Window.HOUR, HOUR, FOR_EVER) is None
