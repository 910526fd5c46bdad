"""Named places at which a process may be told to die at once, for tests that count what was lost: nothing may be."""

import os
import re
from typing import Final

import structlog

POINTS: Final = (
    "ingest.after_poll",
    "ingest.after_validate",
    "ingest.after_dead_letters",
    "ingest.after_some_frames",
    "ingest.before_commit",
    "aggregator.before_apply",
    "aggregator.after_reply",
    "aggregator.after_ack",
    "rebuild.after_swap",
    "replay.after_sending",
)
KILLED: Final = 137
"""Exit code of a process that died at its point, as a shell gives it for SIGKILL."""

_ARMED: Final = re.compile(r"([a-z_.]+)(?::([1-9]\d{0,8}))?")


def read_crash_point(text: str) -> tuple[str, int]:
    """Return the point and at which of its visits to die, from `POINT` or `POINT:VISIT`; no point for no text.

    Raises:
        ValueError: there is no such point.
    """
    if not text:
        return "", 0
    found = _ARMED.fullmatch(text)
    if found is None or found[1] not in POINTS:
        raise ValueError(f"give one of {', '.join(POINTS)}, and with :N its Nth visit; or nothing")
    return found[1], int(found[2] or 1)


class CrashPoints:
    """The points of one process, at most one of them armed.

    Args:
        armed: the setting `testing.crash_point`; empty for none, and then a visit is one comparison.
    """

    def __init__(self, armed: str) -> None:
        self._armed, self._visits_left = read_crash_point(armed)
        if armed:
            structlog.get_logger().warning("crash_point_is_set", point=armed, remedy="unset it in production")

    def visit(self, point: str) -> None:
        """Die here, without any clean-up, if it is the armed visit."""
        if point == self._armed:
            self._visits_left -= 1
            if not self._visits_left:
                os._exit(KILLED)
