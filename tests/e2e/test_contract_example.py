"""The contract's only numeric example (contract notes, section 2): events are published whose answer it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.clock import now_ms
from tests.support.event_lines import event_line
from tests.support.oracle import DAY_MS, HOUR_MS, to_ms, to_text
from tests.support.pipeline import running_pipeline
from tests.support.servers import Broker

pytestmark = [pytest.mark.e2e, pytest.mark.guarantee, pytest.mark.slow]

COMPLETIONS = {"completions": 4_321, "charsCompleted": 617_672, "keystrokes": 831_400}
CHAT = {"interactions": 31_336, "usefulChatInteractions": 17_411, "charsCompleted": 16_577}
AGENT = {
    "interactions": 2_222,
    "linesAdded": 1_092_933,
    "linesAddedAccepted": 1_080_333,
    "linesRemoved": 76_816,
    "linesRemovedAccepted": 75_956,
}
# 131 users, of whom 128 chat, 103 use the agent and 75 take completions.
USERS = [f"user-{number}" for number in range(131)]
ACTIVE = {
    "usage.code_completion": (USERS[-75:], COMPLETIONS),
    "usage.chat": (USERS[:128], CHAT),
    "usage.agent": (USERS[-103:], AGENT),
}
# What they do without a leading count: it is summed, and makes nobody active.
IDLE = {
    "usage.code_completion": {"keystrokes": 1_000, "charsCompleted": 672},
    "usage.chat": {"charsCompleted": 77, "usefulChatInteractions": 11},
    "usage.agent": {"linesAdded": 33},
}


def shares(total: int, parts: int) -> list[int]:
    """Cut a total into parts that differ, none of them below 1 where that can be."""
    even = [total // parts] * parts
    even[0] += total % parts
    for low, high in zip(range(parts // 2), range(parts - 1, parts // 2, -1), strict=False):
        moved = even[low] // 2 if even[low] > 1 else 0
        even[low], even[high] = even[low] - moved, even[high] + moved
    return even


def event_data() -> Iterator[tuple[str, str, dict[str, int]]]:
    """Yield type, user and data of each event; their sums are the example's."""
    for kind, (users, totals) in ACTIVE.items():
        cut = {name: shares(total - IDLE[kind].get(name, 0), len(users)) for name, total in totals.items()}
        for at, user in enumerate(users):
            yield kind, user, {name: parts[at] for name, parts in cut.items()}
        yield kind, "nobody-in-particular", IDLE[kind]


def lines(end_ms: int) -> list[bytes]:
    """Return the events over the last hours, every tenth of them twice."""
    made = [
        event_line(f"{at}", end_ms - HOUR_MS - at * 60_000, type=kind, subject=user, teamid=f"team-{at % 3}", data=data)
        for at, (kind, user, data) in enumerate(event_data())
    ]
    return [*made, *made[::10]]


def expected_block(begin_ms: int, end_ms: int) -> dict[str, Any]:
    return {
        "from": to_text(begin_ms),
        "to": to_text(end_ms),
        "activeUsers": 131,
        "productivityFactor": 0.433,
        "codeCompletions": {"activeUsers": 75, **COMPLETIONS, "lines": 0, "automationFactor": 0.426},
        "chat": {"activeUsers": 128, **CHAT, "lines": 0, "chatConsumptionRate": 0.556},
        "agent": {"activeUsers": 103, **AGENT},
        "instruct": {"acceptedCount": 0},
    }


@pytest.mark.timeout(120)
def test_the_contracts_example_is_what_its_events_give(tmp_path: Path, kafka: Broker, redis_url: str) -> None:
    end_ms = now_ms() // HOUR_MS * HOUR_MS
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"".join(line + b"\n" for line in lines(end_ms)))
    with running_pipeline(tmp_path, kafka.bootstrap, redis_url) as pipeline:
        pipeline.publish(file)
        pipeline.catch_up()
        asked = {
            "organizationId": "acme",
            "from": to_text(end_ms - DAY_MS),
            "to": to_text(end_ms),
            "granularity": "all",
        }
        with pipeline.client("acme") as client:
            answer = client.get("/api/v1/organization/usage", params=asked)
        assert answer.status_code == 200, answer.text
        (block,) = answer.json()["usage"]["data"]
    # The day ended with the last hour; an hour later it is complete.
    complete = to_ms(answer.json()["asOf"]) >= end_ms + HOUR_MS
    assert block == expected_block(end_ms - DAY_MS, end_ms) | {"complete": complete}
