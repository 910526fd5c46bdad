"""Which numbers each event type adds to which counters: the one table that fold, store, export and API read.

A product is what one event type counts. Its counters keep the names of the event's `data`, in the order in which
they are packed; a new counter goes to the end of its row. A packed value holds at most nine counters (64 bytes,
ADR 0005).
"""

from dataclasses import dataclass
from typing import Final

COUNTER_MAX: Final = 2**53 - 1
"""Largest value of a counter; a sum beyond it stays here (saturates). The limit of a JSON and script number."""

AMOUNT_MAX: Final = 2**31 - 1
"""Largest amount of one event."""

COUNTERS_PER_PRODUCT_MAX: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What one event type counts.

    Attributes:
        code: place in frames and Redis fields, 0 to 3; never reused.
        event_type: the CloudEvents `type`.
        name: member of an answer's `metrics`, e.g. `codeCompletions`.
        counters: names in the event's `data`, in packing order; the first is the leading count: a user is active
            in the product when its sum is 1 or more (contract notes A10).
    """

    code: int
    event_type: str
    name: str
    counters: tuple[str, ...]

    @property
    def leading(self) -> str:
        return self.counters[0]


CODE_COMPLETIONS: Final = Product(
    code=0,
    event_type="usage.code_completion",
    name="codeCompletions",
    counters=("completions", "charsCompleted", "keystrokes", "lines", "suggestions"),
)
CHAT: Final = Product(
    code=1,
    event_type="usage.chat",
    name="chat",
    counters=(
        "interactions",
        "usefulChatInteractions",
        "messages",
        "lines",
        "linesAdded",
        "charsCompleted",
        "inputTokens",
        "outputTokens",
        "costMicros",
    ),
)
AGENT: Final = Product(
    code=2,
    event_type="usage.agent",
    name="agent",
    counters=(
        "interactions",
        "messages",
        "linesAdded",
        "linesAddedAccepted",
        "linesRemoved",
        "linesRemovedAccepted",
        "inputTokens",
        "outputTokens",
        "costMicros",
    ),
)
INSTRUCT: Final = Product(code=3, event_type="usage.instruct", name="instruct", counters=("acceptedCount",))

PRODUCTS: Final = (CODE_COMPLETIONS, CHAT, AGENT, INSTRUCT)
"""Every product at the place of its code."""
