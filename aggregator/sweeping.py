"""Which keys belong to an epoch that is neither live nor being made: what killed and finished runs leave. Pure.

Redis finds keys only by looking at every one of them, so they are looked at for all partitions at once.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from services.identifiers import Epoch, PartitionId
from services.keyspace import PREFIX, epoch_of, epoch_prefix

_BEGIN: Final = len(f"{PREFIX}{{")
_CLOSE: Final = b"}"


class KeptEpochs:
    """The epochs of each partition that are to stay; keys of partitions that were never set all stay.

    Args:
        tags: hash tag of each partition.
    """

    def __init__(self, tags: tuple[str, ...]) -> None:
        self._tags = tags
        self._kept: dict[bytes, tuple[bytes, ...]] = {}
        self._partition = {tag.encode(): PartitionId(number) for number, tag in enumerate(tags)}

    def set(self, partition: PartitionId, *epochs: Epoch) -> None:
        """Say which stay; before the first key of one of them is written."""
        tag = self._tags[partition]
        self._kept[tag.encode()] = tuple(epoch_prefix(tag, epoch).encode() for epoch in epochs)

    def rubbish(self, names: Iterable[bytes]) -> Mapping[tuple[PartitionId, Epoch], list[str]]:
        """Return the keys that are not to stay, by partition and epoch."""
        found: dict[tuple[PartitionId, Epoch], list[str]] = {}
        for name in names:
            tag = name[_BEGIN : name.find(_CLOSE, _BEGIN)]
            kept = self._kept.get(tag)
            if kept is None or name.startswith(kept):
                continue
            key, partition = name.decode(), self._partition[tag]
            if (epoch := epoch_of(key, self._tags[partition])) is not None:
                found.setdefault((partition, epoch), []).append(key)
        return found
