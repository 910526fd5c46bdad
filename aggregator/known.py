"""What a worker knows of the store's hashes without asking: what it read or wrote since an assignment.

Exact as long as the partition stands at the (epoch, applied offset) that this worker's last run leaves, since a
partition's state is a function of these (design.md, invariant 3); the reads and the apply script compare both. On any
doubt the partition is forgotten. Bounded: two halves, of which the older goes when the younger is full.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from aggregator.known_ids import KnownIds
from aggregator.renewals import Renewals

FIELDS_MAX: Final = 400_000
"""Fields known of all partitions of a worker, some 150 bytes each; a long value counts as several."""

_LOOK_EVERY: Final = 64
_FIELD_BYTES: Final = 128

Field = TypeVar("Field")
Value = TypeVar("Value")


class Known(Generic[Field, Value]):
    """Hash key -> the fields that are known of it."""

    def __init__(self, fields_max: int = FIELDS_MAX) -> None:
        self._half = fields_max // 2
        self._young: dict[str, dict[Field, Value]] = {}
        self._old: dict[str, dict[Field, Value]] = {}

    def get(self, key: str) -> dict[Field, Value] | None:
        """Return what is known of a hash, None for nothing. Change it only as the store is changed."""
        found = self._young.get(key)
        if found is None and (found := self._old.pop(key, None)) is not None:
            self.put(key, found)
        return found

    def get_all(self, keys: Sequence[str]) -> list[dict[Field, Value] | None]:
        """Return what is known of each of these hashes."""
        found = list(map(self._young.get, keys))
        for at, known in enumerate(found):
            if known is None:
                found[at] = self.get(keys[at])
        return found

    def put(self, key: str, fields: dict[Field, Value]) -> None:
        """Remember a hash."""
        self._young[key] = fields

    def make_room(self) -> None:
        """Forget the older half if the younger one is full, and any hash that alone fills a quarter of it."""
        if sum(map(_weight, self._young.values())) > self._half:
            self._old = {key: fields for key, fields in self._young.items() if _weight(fields) <= self._half // 4}
            self._young = {}

    def drop(self, key: str) -> None:
        """Forget one hash."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def forget(self, prefix: str) -> None:
        """Forget every hash whose key begins so."""
        for half in (self._young, self._old):
            for key in [key for key in half if key.startswith(prefix)]:
                del half[key]


def _weight(fields: Mapping[Any, object]) -> int:
    """Return how many fields of usual length a hash amounts to, by one of its values."""
    value = next(iter(fields.values()), None)
    return 1 + len(fields) * (1 + len(value) // _FIELD_BYTES if isinstance(value, bytes) else 1)


class Knowledge:
    """What a worker knows.

    Attributes:
        hashes: whole ones: counters, bitmaps, ledger.
        ordinals: user indexes, in part.
        ids: generations of the dedup index.
        renewals: when the ends of its sets were moved on.
    """

    def __init__(self, fields_max: int = FIELDS_MAX) -> None:
        self.hashes: Known[bytes, bytes] = Known(fields_max)
        self.ordinals: Known[str, int] = Known(fields_max)
        self.ids = KnownIds()
        self.renewals = Renewals()
        self._runs = 0

    def make_room(self) -> None:
        """Keep both within their bounds; call it after each run. It looks every 64th time."""
        self._runs += 1
        if self._runs % _LOOK_EVERY == 0:
            self.hashes.make_room()
            self.ordinals.make_room()

    def drop(self, key: str) -> None:
        """Forget one hash, or all generations of a period of the dedup index, by its key."""
        self.hashes.drop(key)
        self.ordinals.drop(key)
        self.ids.forget(f"{key}/")

    def forget(self, prefix: str) -> None:
        self.hashes.forget(prefix)
        self.ordinals.forget(prefix)
        self.ids.forget(prefix)
        self.renewals.forget(prefix)
