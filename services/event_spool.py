"""Records on their way from a check to a topic: few in memory, many in a temporary file."""

import struct
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Final, Self

IN_MEMORY_BYTES: Final = 32 * 1024 * 1024

_LENGTHS: Final = struct.Struct("<II")


class EventSpool:
    """Keeps keys and values in order; a context manager, which takes the file away."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 -- closed on leaving
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def add(self, key: bytes, value: bytes) -> None:
        self._file.write(_LENGTHS.pack(len(key), len(value)) + key + value)
        self._count += 1

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every key and value, from the first on; nothing may be added meanwhile."""
        self._file.seek(0)
        while head := self._file.read(_LENGTHS.size):
            key, value = _LENGTHS.unpack(head)
            yield self._file.read(key), self._file.read(value)
