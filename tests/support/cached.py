"""What tests take from the package registries, kept in one cache directory."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def cache_directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidemark"


def filled(name: str, fill: Callable[[Path], None]) -> Path:
    """Return a directory of the cache; `fill` fills it the first time. It is there only when it is complete.

    Args:
        name: holds the version of what is in it.
    """
    target = cache_directory() / name
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        draft = Path(scratch) / "draft"
        draft.mkdir()
        fill(draft)
        try:
            draft.rename(target)
        except OSError:  # another process filled it meanwhile
            if not target.is_dir():
                raise
    return target
