"""What was sent in a demo, counted line by line while sending, and how the API's answer compares. Pure.

It shares nothing with the pipeline but the names of products and counters: one pass over JSON, sums and sets.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.metrics_contract import PRODUCTS, Product

ACTIVE_USERS: Final = "activeUsers"
_PRODUCT_OF_TYPE: Final = {product.event_type: product for product in PRODUCTS}


@dataclass(slots=True)
class Sent:
    """What was sent for one organization, each event once.

    Attributes:
        events: good ones, copies not counted again.
        sums: product name -> counter name -> sum.
        active: product name -> users whose leading count is 1 or more.
    """

    events: int = 0
    sums: dict[str, dict[str, int]] = field(default_factory=dict)
    active: dict[str, set[str]] = field(default_factory=dict)

    def number(self, product: str, counter: str) -> int:
        if counter == ACTIVE_USERS:
            return len(self.active.get(product, set()))
        return self.sums.get(product, {}).get(counter, 0)

    def active_in_any(self) -> int:
        return len(set().union(*self.active.values()))


@dataclass(slots=True)
class Tally:
    """Counts what is sent.

    Attributes:
        lines: sent in all.
        copies: good lines whose event was sent before.
        bad: lines that are no usage event.
    """

    lines: int = 0
    copies: int = 0
    bad: int = 0
    organizations: dict[str, Sent] = field(default_factory=dict)
    _seen: set[tuple[str, str, str]] = field(default_factory=set)

    def add_bad(self) -> None:
        self.lines += 1
        self.bad += 1

    def add_good(self, line: bytes) -> str:
        """Count a good line, and return its organization."""
        event = json.loads(line)
        organization: str = event["organizationid"]
        identity = (organization, event["source"], event["id"])
        self.lines += 1
        if identity in self._seen:
            self.copies += 1
        else:
            self._seen.add(identity)
            _add(self.organizations.setdefault(organization, Sent()), event)
        return organization


def _add(sent: Sent, event: Mapping[str, Any]) -> None:
    product: Product = _PRODUCT_OF_TYPE[event["type"]]
    sent.events += 1
    sums = sent.sums.setdefault(product.name, {})
    for name, amount in event["data"].items():
        if isinstance(amount, int):
            sums[name] = sums.get(name, 0) + amount
    if event["data"].get(product.leading, 0):
        sent.active.setdefault(product.name, set()).add(event["subject"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Unequal:
    """One number of the API's answer that is not what was sent."""

    name: str
    sent: int
    answered: int


def compare(sent: Sent, block: Mapping[str, Any]) -> Iterator[Unequal]:
    """Yield each number of a usage block that is not what was sent; ratios follow from the numbers."""
    if (answered := block[ACTIVE_USERS]) != (wanted := sent.active_in_any()):
        yield Unequal(name=ACTIVE_USERS, sent=wanted, answered=answered)
    for product in PRODUCTS:
        for counter, answered in block[product.name].items():
            wanted = sent.number(product.name, counter)
            if isinstance(answered, int) and answered != wanted:
                yield Unequal(name=f"{product.name}.{counter}", sent=wanted, answered=answered)
