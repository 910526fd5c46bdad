"""Lines of a file, of a `.gz` file or of standard input, read as they come, with how far the reading is."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

STANDARD_INPUT: Final = "-"
CHUNK_BYTES: Final = 1 << 18
_GZIP_MAGIC: Final = b"\x1f\x8b"


class UnreadableFile(Exception):
    """The file cannot be read; the text says which and why."""


class LineSource:
    """Reads lines without their line feeds; a context manager.

    Args:
        name: a path, or `-` for standard input. Compressed files are told by their first bytes.

    Raises:
        UnreadableFile: on entering, or while reading.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._stack = ExitStack()
        self._rest: list[bytes] = []

    def __enter__(self) -> Self:
        if self._name == STANDARD_INPUT:
            self._raw = cast("BufferedReader", sys.stdin.buffer)
            self._stream = self._raw
            self.size: int | None = None
            return self
        try:
            self._raw = self._stack.enter_context(Path(self._name).open("rb"))
            self.size = Path(self._name).stat().st_size
            compressed = self._raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            self._raw.seek(0)
        except OSError as error:
            self._stack.close()
            raise UnreadableFile(f"{self._name}: {error.strerror or error}") from error
        unpacked = cast("BufferedReader", gzip.GzipFile(fileobj=self._raw)) if compressed else self._raw
        self._stream = self._stack.enter_context(unpacked)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def position(self) -> int:
        """Return how many bytes of the file are read, compressed ones where it is compressed."""
        return 0 if self.size is None else self._raw.tell()

    def chunks(self) -> Iterator[list[bytes]]:
        """Yield the lines that are there, as soon as there are some; the last may lack its line feed."""
        while chunk := self._read():
            *lines, rest = chunk.split(b"\n")
            if not lines:
                self._rest.append(rest)
                continue
            lines[0] = b"".join([*self._rest, lines[0]])
            self._rest = [rest]
            yield lines
        if last := b"".join(self._rest):
            yield [last]

    def _read(self) -> bytes:
        try:
            # Lines of a pipe are not kept waiting for the next ones.
            return self._stream.read1(CHUNK_BYTES) if self.size is None else self._stream.read(CHUNK_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableFile(f"{self._name}: {error}") from error
