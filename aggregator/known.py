"""What a worker knows of the store's hashes without asking: what it read or wrote since an assignment.

Exact as long as the partition stands at the (epoch, applied offset) that this worker last saw acknowledged, since a
partition's state is a function of these (design.md, invariant 3); the reads and the apply script compare both. On any
doubt the partition is forgotten. Bounded: two halves, of which the older goes when the younger is full.
"""

from typing import Final, Generic, TypeVar

FIELDS_MAX: Final = 400_000
"""Fields known of all partitions of a worker, some 150 bytes each."""

Field = TypeVar("Field")
Value = TypeVar("Value")


class Known(Generic[Field, Value]):
    """Hash key -> the fields that are known of it."""

    def __init__(self, fields_max: int = FIELDS_MAX) -> None:
        self._half = fields_max // 2
        self._young: dict[str, dict[Field, Value]] = {}
        self._old: dict[str, dict[Field, Value]] = {}
        self._young_fields = 0

    def get(self, key: str) -> dict[Field, Value] | None:
        """Return what is known of a hash, None for nothing. Change it only when the store has been changed so."""
        found = self._young.get(key)
        if found is None and (found := self._old.pop(key, None)) is not None:
            self.put(key, found)
        return found

    def put(self, key: str, fields: dict[Field, Value]) -> None:
        """Remember a hash. What was put since the last `make_room` is not forgotten."""
        self._young[key] = fields
        self._young_fields += len(fields) + 1

    def make_room(self) -> None:
        """Forget the older half if the younger one is full; call it between runs."""
        if self._young_fields > self._half:
            self._old, self._young, self._young_fields = self._young, {}, 0

    def forget(self, prefix: str) -> None:
        """Forget every hash whose key begins so."""
        for half in (self._young, self._old):
            for key in [key for key in half if key.startswith(prefix)]:
                del half[key]


class Knowledge:
    """What a worker knows: `hashes` whole (counters, bitmaps, ledger), `ordinals` of user indexes in part."""

    def __init__(self) -> None:
        self.hashes: Known[bytes, bytes] = Known()
        self.ordinals: Known[str, int] = Known()

    def make_room(self) -> None:
        self.hashes.make_room()
        self.ordinals.make_room()

    def forget(self, prefix: str) -> None:
        self.hashes.forget(prefix)
        self.ordinals.forget(prefix)
