"""From blocks' cells to the blocks of the answer: sums, distinct users and factors (contract notes section 2). Pure.

A block is made as the JSON object that is sent, not as the model of `query_api.schemas.usage` that describes it: to
make and check a year of models takes four times as long as everything else. That both agree is tested.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from query_api.cells import BlockCells
from query_api.ranges import PlannedBlock
from services.metrics_contract import AGENT, CHAT, CODE_COMPLETIONS, COUNTERS_PER_PRODUCT_MAX, INSTRUCT, PRODUCTS
from services.windows import rfc3339

Members = dict[str, Any]
"""The members of a JSON object."""


def ratio(part: int, whole: int) -> float | None:
    """Return part / whole rounded half-up to 3 decimals, exactly; None when `whole` is 0. Neither is negative."""
    if whole == 0:
        return None
    return ((2_000 * part + whole) // (2 * whole)) / 1000


def usage_blocks(planned: Sequence[PlannedBlock], cells: BlockCells, complete: Sequence[bool | None]) -> list[Members]:
    """Return the blocks; every product is there, zeros too.

    Args:
        complete: of each block, None where that is unknown.
    """
    sums = cells.sums.reshape(len(planned), len(PRODUCTS) * COUNTERS_PER_PRODUCT_MAX)[:, _COUNTERS]
    rows = np.concatenate([sums, cells.active, cells.active_in_any[:, None]], axis=1).tolist()
    return [_block(*each) for each in zip(planned, rows, complete, strict=True)]


_COUNTERS: Final = [
    product.code * COUNTERS_PER_PRODUCT_MAX + product.counters.index(name)
    for product, names in (
        (CODE_COMPLETIONS, "completions charsCompleted keystrokes lines"),
        (CHAT, "interactions usefulChatInteractions lines charsCompleted"),
        (AGENT, "interactions linesAdded linesAddedAccepted linesRemoved linesRemovedAccepted"),
        (INSTRUCT, "acceptedCount"),
    )
    for name in names.split()
]
"""The counters that are served, by their place in all products' counters; `_block` takes them in this order."""


def _block(planned: PlannedBlock, counted: Sequence[int], complete: bool | None) -> Members:
    *of_products, users_completing, users_chatting, users_of_agents, _, users = counted
    completed, chars, keystrokes, lines, *of_others = of_products
    interactions, useful, chat_lines, chat_chars, *of_agents, accepted = of_others
    agent_interactions, added, added_accepted, removed, removed_accepted = of_agents
    completions: Members = {
        "activeUsers": users_completing,
        "completions": completed,
        "charsCompleted": chars,
        "keystrokes": keystrokes,
        "lines": lines,
    }
    if (automation := ratio(chars, chars + keystrokes)) is not None:
        completions["automationFactor"] = automation
    chat: Members = {
        "activeUsers": users_chatting,
        "interactions": interactions,
        "usefulChatInteractions": useful,
        "lines": chat_lines,
        "charsCompleted": chat_chars,
    }
    if (consumption := ratio(useful, interactions)) is not None:
        chat["chatConsumptionRate"] = consumption
    block: Members = {
        "from": rfc3339(planned.start_ms),
        "to": rfc3339(planned.end_ms),
        "complete": complete,
        "activeUsers": users,
    }
    produced = chars + chat_chars
    if (productivity := ratio(produced, produced + keystrokes)) is not None:
        block["productivityFactor"] = productivity
    block["codeCompletions"] = completions
    block["chat"] = chat
    block["agent"] = {
        "activeUsers": users_of_agents,
        "interactions": agent_interactions,
        "linesAdded": added,
        "linesAddedAccepted": added_accepted,
        "linesRemoved": removed,
        "linesRemovedAccepted": removed_accepted,
    }
    block["instruct"] = {"acceptedCount": accepted}
    return block
