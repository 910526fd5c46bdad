"""How far the dead letters may be deleted: Kafka deletes from a partition's beginning only. Pure."""

from dataclasses import dataclass, field

from services.dead_letter_log import DeadLetter, Note
from services.replays import LetterId, Replays


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeRules:
    """What is meant to go.

    Attributes:
        before_ms: letters refused before then; None: whenever.
        up_to: this letter and those before it in its partition alone; None: of every partition.
        unreplayed_too: also letters that were never replayed.
    """

    before_ms: int | None = None
    up_to: LetterId | None = None
    unreplayed_too: bool = False

    @property
    def means_all(self) -> bool:
        return self.before_ms is None and self.up_to is None

    def means(self, letter: DeadLetter) -> bool:
        if self.up_to is not None and (letter.partition != self.up_to.partition or letter.offset > self.up_to.offset):
            return False
        return self.before_ms is None or letter.rejected_at_ms < self.before_ms


@dataclass(slots=True, kw_only=True)
class Cut:
    """What goes of one partition.

    Attributes:
        before: everything before this offset goes; None while nothing does.
        letters, unreplayed: how many letters go, and how many of them were never replayed.
        kept_unreplayed, kept_replayed: letters that were meant and stay: never replayed, or behind one that stays.
    """

    before: int | None = None
    letters: int = 0
    unreplayed: int = 0
    kept_unreplayed: int = 0
    kept_replayed: int = 0
    is_closed: bool = False


@dataclass(slots=True)
class Purge:
    """Finds the cuts while the log is read, each partition in order."""

    rules: PurgeRules
    replays: Replays
    cuts: dict[int, Cut] = field(default_factory=dict)

    def look(self, each: DeadLetter | Note) -> None:
        """Take the next record of its partition into account."""
        cut = self.cuts.setdefault(each.partition, Cut())
        if isinstance(each, Note):
            # It goes with the letters before it, and never before one of them.
            if not cut.is_closed and (cut.letters or self.rules.means_all):
                cut.before = each.offset + 1
            return
        replayed = self.replays.of(each.id) is not None
        if not self.rules.means(each):
            cut.is_closed = True
        elif not (replayed or self.rules.unreplayed_too):
            cut.is_closed = True
            cut.kept_unreplayed += 1
        elif cut.is_closed:
            cut.kept_replayed += 1
        else:
            cut.before = each.offset + 1
            cut.letters += 1
            cut.unreplayed += not replayed

    @property
    def offsets(self) -> dict[int, int]:
        """Partition -> offset before which everything goes."""
        return {partition: cut.before for partition, cut in sorted(self.cuts.items()) if cut.before is not None}

    def total(self, name: str) -> int:
        return sum(int(getattr(cut, name)) for cut in self.cuts.values())
