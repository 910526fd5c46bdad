"""Where a process stands: what its main thread does, and what each task of its event loop waits for."""

import asyncio
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Final

TASKS_MAX: Final = 100
_DEPTH_MAX: Final = 50


def stack_of_main_thread() -> list[str]:
    """Return the calls that the main thread is in, the innermost last; from any thread."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    return [] if frame is None else [_place(*each) for each in traceback.walk_stack(frame)][::-1]


def tasks_of(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Return each task's name and the innermost coroutine that it waits in; from any thread."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    return [f"{task.get_name()}: {_innermost(task.get_coro())}" for task in tasks[:TASKS_MAX]]


def waited_for_processor_s() -> float:
    """Return for how long the main thread could have run so far and had no processor; 0 where Linux does not tell."""
    try:
        _, waited_ns, _ = Path(f"/proc/self/task/{os.getpid()}/schedstat").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 0.0
    return int(waited_ns) / 1e9


def _innermost(awaited: Any) -> str:
    place = "unknown"
    for _ in range(_DEPTH_MAX):
        if (frame := getattr(awaited, "cr_frame", None)) is None:
            break
        place = _place(frame, frame.f_lineno)
        awaited = awaited.cr_await
    return place


def _place(frame: Any, line: int) -> str:
    return f"{frame.f_code.co_name} ({frame.f_code.co_filename}:{line})"
