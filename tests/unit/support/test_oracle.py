import json
from typing import Any

import pytest

from tests.support.comparison import compare
from tests.support.oracle import DAY_MS, HOUR_MS, Limits, Oracle, half_up, read_event, to_ms, to_text

pytestmark = pytest.mark.unit

LATER = to_ms("2030-01-01T00:00:00Z")


def line(event_id: str = "1", **changes: Any) -> bytes:
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": "s",
        "type": "usage.chat",
        "time": "2026-08-22T08:30:00Z",
        "subject": "ann",
        "organizationid": "acme",
        "teamid": "core",
        "data": {"interactions": 2, "usefulChatInteractions": 1},
    }
    return json.dumps({name: value for name, value in (event | changes).items() if value is not None}).encode()


def test_a_team_event_makes_six_rows_in_the_order_of_the_export() -> None:
    rows = list(Oracle([line()]).rows())
    assert [(row["team"], row["user"], row["window"], row["start"]) for row in rows] == [
        (None, None, "day", "2026-08-22T00:00:00Z"),
        (None, None, "hour", "2026-08-22T08:00:00Z"),
        (None, "ann", "day", "2026-08-22T00:00:00Z"),
        (None, "ann", "hour", "2026-08-22T08:00:00Z"),
        ("core", None, "day", "2026-08-22T00:00:00Z"),
        ("core", None, "hour", "2026-08-22T08:00:00Z"),
    ]
    assert rows[0]["metrics"]["activeUsers"] == 1
    assert rows[0]["metrics"]["chat"] == {
        "activeUsers": 1,
        "interactions": 2,
        "usefulChatInteractions": 1,
        **dict.fromkeys(
            ("messages", "lines", "linesAdded", "charsCompleted", "inputTokens", "outputTokens", "costMicros"), 0
        ),
    }
    assert "agent" not in rows[0]["metrics"]


def test_the_first_of_two_equal_ids_wins_and_other_organizations_are_other_identities() -> None:
    counted = Oracle([line(), line(data={"interactions": 9}), line(organizationid="globex")])
    assert (counted.good, counted.copies) == (2, 1)
    assert next(counted.rows())["metrics"]["chat"]["interactions"] == 2


def test_what_the_contract_leaves_open_is_refused_by_the_oracle() -> None:
    with pytest.raises(ValueError, match="24 h"):
        Oracle([line(), line(time="2026-08-24T08:30:00Z")])


def test_users_are_active_by_the_leading_count_and_never_counted_twice() -> None:
    counted = Oracle(
        [
            line("1"),
            line("2", time="2026-08-22T10:00:00+01:30"),
            line("3", subject="bob", data={"usefulChatInteractions": 1}),
            line("4", subject="cid", type="usage.instruct", data={"acceptedCount": 1}, teamid=None),
        ]
    )
    day = next(counted.rows())["metrics"]
    assert day["activeUsers"] == 2
    assert day["chat"]["activeUsers"] == 1
    assert day["instruct"]["activeUsers"] == 1
    team = next(row for row in counted.rows() if row["team"] == "core")
    assert team["metrics"]["activeUsers"] == 1


def test_the_factors_are_those_of_the_only_numeric_example() -> None:
    completions = {"completions": 1, "charsCompleted": 617672, "keystrokes": 831400}
    chat = {"interactions": 31336, "usefulChatInteractions": 17411, "charsCompleted": 16577}
    counted = Oracle([line("1", type="usage.code_completion", data=completions), line("2", data=chat)])
    day = to_ms("2026-08-22T00:00:00Z")
    [block] = counted.blocks(("acme", None, None), "daily", day, day + DAY_MS, now_ms=LATER)
    assert block["codeCompletions"]["automationFactor"] == 0.426
    assert block["productivityFactor"] == 0.433
    assert block["chat"]["chatConsumptionRate"] == 0.556


def test_a_half_is_rounded_up_and_a_factor_without_denominator_is_left_out() -> None:
    assert half_up(1, 2000) == 0.001
    assert half_up(4999, 10_000_000) == 0.0
    [block] = Oracle([line(data={"messages": 1})]).blocks(("acme", None, None), "all", 0, LATER, now_ms=LATER)
    assert "chatConsumptionRate" not in block["chat"]
    assert "productivityFactor" not in block


def test_ranges_are_widened_outward_and_edge_blocks_are_cut_to_them() -> None:
    counted = Oracle([line()])
    begin, end = to_ms("2026-08-22T08:40:00Z"), to_ms("2026-09-01T01:00:00Z")
    blocks = counted.blocks(("acme", None, None), "weekly", begin, end, now_ms=LATER)
    assert [(block["from"], block["to"]) for block in blocks] == [
        ("2026-08-22T08:00:00Z", "2026-08-24T00:00:00Z"),
        ("2026-08-24T00:00:00Z", "2026-08-31T00:00:00Z"),
        ("2026-08-31T00:00:00Z", "2026-09-01T01:00:00Z"),
    ]
    assert [block["chat"]["interactions"] for block in blocks] == [2, 0, 0]
    months = counted.blocks(("acme", None, None), "monthly", begin, end, widen_to_ms=DAY_MS, now_ms=LATER)
    assert [block["from"] for block in months] == ["2026-08-22T00:00:00Z", "2026-09-01T00:00:00Z"]
    assert len(counted.blocks(("acme", None, None), "daily", begin, end, now_ms=begin)) == 1


def test_age_is_judged_against_the_broker_time_only() -> None:
    moment = to_ms("2026-08-22T08:30:00Z")
    assert read_event(line(), moment + 35 * DAY_MS) is not None
    assert read_event(line(), moment + 35 * DAY_MS + 1) is None
    assert read_event(line(), moment + 36 * DAY_MS, Limits(max_age_ms=None)) is not None
    assert read_event(line(), moment - 300_000) is not None
    assert read_event(line(), moment - 300_001) is None


def test_times_are_read_with_their_offset_and_rounded_down() -> None:
    assert to_ms("1970-01-01T01:00:00.0019+01:00") == 1
    assert to_ms("1969-12-31t23:30:00-00:30") == 0
    assert to_text(HOUR_MS) == "1970-01-01T01:00:00Z"


def test_a_comparison_names_each_differing_cell() -> None:
    ours, theirs = Oracle([line("1"), line("2")]), Oracle([line("1"), line("3", organizationid="globex")])
    result = compare(ours.rows(), theirs.rows())
    assert (result.cells, result.differing) == (12, 12)
    assert result.examples[0] == (
        "acme - - day 2026-08-22T00:00:00Z: metrics.chat.interactions 4 instead of 2,"
        " metrics.chat.usefulChatInteractions 2 instead of 1"
    )
    assert result.examples[-1].startswith("missing: ")
    assert compare(ours.rows(), ours.rows()).equal
    backwards = compare(reversed(list(ours.rows())), ours.rows())
    assert not backwards.equal
