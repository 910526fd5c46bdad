"""What was published of both topics, counted by the oracles. Standard library only, like them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

from tests.support.directory_history import Publisher
from tests.support.directory_oracle import DirectoryOracle
from tests.support.directory_questions import Month
from tests.support.oracle import COUNTERS, PRODUCT_OF_TYPE, Oracle, to_text

Told = tuple[str, bytes]
"""Topic (`events` or `directory`) and line."""


@dataclass
class Counted:
    """Both oracles."""

    directory: DirectoryOracle = field(default_factory=DirectoryOracle)
    usage: Oracle = field(default_factory=Oracle)

    def tell(self, lines: Iterable[Told]) -> None:
        for topic, line in lines:
            (self.directory if topic == "directory" else self.usage).add(line)

    def active(self, organization: str, now_ms: int) -> dict[Month, int]:
        """Return the distinct active users of each month."""
        scope = (organization, None, None)
        if scope not in self.usage.scopes():
            return {}
        blocks = self.usage.blocks(scope, "monthly", *self.usage.span_ms(), now_ms=now_ms)
        return {(int(block["from"][:4]), int(block["from"][5:7])): block["activeUsers"] for block in blocks}


def with_usage(publisher: Publisher, lines: Iterable[bytes], random: Random, share: float) -> Iterator[Told]:
    """Yield directory events, and usage by the same people after so many of them."""
    for number, line in enumerate(lines):
        yield "directory", line
        if random.random() < share:
            event_type = random.choice(list(PRODUCT_OF_TYPE))
            use = {
                "specversion": "1.0",
                "id": f"use-{number}",
                "source": "svc/a",
                "type": event_type,
                "time": to_text(random.randrange(publisher.first_ms, publisher.last_ms)),
                "subject": f"person-{random.randrange(publisher.persons)}",
                "organizationid": f"org-{random.randrange(publisher.organizations)}",
                "data": {COUNTERS[PRODUCT_OF_TYPE[event_type]][0]: random.choice((0, 1, 5))},
            }
            yield "events", json.dumps(use).encode()
