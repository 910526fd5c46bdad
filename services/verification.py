"""What `tidemark verify` and `tidemark rebuild` answer; made by the aggregator, printed by the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

DIFFERENCES_MAX: Final = 1_000
"""Differences that an answer holds; all of them are counted."""


class Part(StrEnum):
    """What a difference is in."""

    COUNTERS = "counters"
    ACTIVE_USERS = "activeUsers"
    USERS = "users"
    IDS = "ids"
    LEDGER = "ledger"
    DIRECTORY = "directory"
    STATE = "state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that the live counters hold otherwise than the log says.

    Attributes:
        place: what tells it from others: organization, team, user, window, start, product, and so on.
        live, log: what stands there, and what should; None for nothing. Of users, those that only one of the two has.
    """

    partition: int
    part: Part
    place: Mapping[str, Any]
    live: Any
    log: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is. `total` frames grow as the live counters move on; `cells` counts what was compared."""

    frames: int
    total: int
    cells: int


@dataclass(slots=True, kw_only=True)
class Verification:
    """What came of comparing.

    Attributes:
        cells: hash fields compared: of counters, bitmaps, user indexes, ledger, directory and state.
        ids: identities of the dedup index that were looked up, on both sides.
        unverified: what could not be compared, in sentences.
    """

    partitions: int
    events: int = 0
    seconds: float = 0.0
    cells: int = 0
    ids: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)

    def note(self, differences: Sequence[Difference]) -> None:
        self.differing += len(differences)
        self.differences += differences[: max(0, DIFFERENCES_MAX - len(self.differences))]


@dataclass(slots=True, kw_only=True)
class Rebuilt:
    """What came of a rebuild.

    Attributes:
        partitions: that were swapped; their old epochs had `unlinked` keys.
        unverified: what was carried over as it was, since the log does not decide it, in sentences.
    """

    partitions: list[int] = field(default_factory=list)
    events: int = 0
    seconds: float = 0.0
    unlinked: int = 0
    unverified: list[str] = field(default_factory=list)
