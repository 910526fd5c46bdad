"""What one event adds where: the same for both baselines, and for the check of what they counted."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

Field = tuple[str, str]
"""Key and field of a Redis hash."""

Sums = Counter[Field]


def increments(
    kind: str, organization: str, team: str | None, user: str, time: datetime, data: Mapping[str, Any]
) -> Iterator[tuple[Field, int]]:
    """Yield every (key, field) of the six windows that the event counts in, with the amount."""
    hour, day = f"{time:%Y-%m-%dT%H}", f"{time:%Y-%m-%d}"
    scopes = [f"o:{organization}", f"u:{organization}:{user}"]
    if team is not None:
        scopes.append(f"t:{organization}:{team}")
    amounts = [(f"{kind}:{name}", amount) for name, amount in data.items() if isinstance(amount, int) and amount]
    for scope in scopes:
        for window in (f"h:{scope}:{hour}", f"d:{scope}:{day}"):
            for name, amount in amounts:
                yield (window, name), amount
