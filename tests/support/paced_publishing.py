"""`tidemark publish`, fed at a rate for as long as a test needs traffic, and then with all the rest at once."""

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import cast

from tests.support.beside import Beside
from tests.support.pipeline import PipelineUnderTest

TICK_SECONDS = 0.05
FINISH_SECONDS = 120


class PacedPublishing(Beside):
    """Publishes lines in their order; a context manager, which kills what was not finished.

    Args:
        options: of `tidemark publish`.
        rate: lines a second until `finish`.
    """

    def __init__(self, pipeline: PipelineUnderTest, lines: Sequence[bytes], *options: str, rate: float) -> None:
        super().__init__()
        self._lines = lines
        self._rate = rate
        self._given = 0
        self._process = pipeline.begin("publish", "-", *options, stdin=subprocess.PIPE)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        super().__exit__()
        self._process.communicate()

    @property
    def goes_on(self) -> bool:
        """Whether lines are left that are not published yet."""
        return self._given < len(self._lines) and self._process.poll() is None

    def finish(self) -> None:
        """Publish the rest at once, and return when all is acknowledged."""
        self._stop.set()
        self._thread.join(FINISH_SECONDS)
        out, err = self._process.communicate(timeout=FINISH_SECONDS)
        assert self._process.returncode == 0, (out, err)

    def _work(self) -> None:
        pipe, begun_s = cast(TextIOWrapper, self._process.stdin).buffer, time.monotonic()
        with suppress(BrokenPipeError):
            while self._given < len(self._lines):
                passed_s = time.monotonic() - begun_s
                due = len(self._lines) if self._stop.is_set() else int(passed_s * self._rate)
                pipe.write(b"".join(line + b"\n" for line in self._lines[self._given : due]))
                pipe.flush()
                self._given = due
                self._goes_on(TICK_SECONDS)
