"""What the repository holds, as git sees it."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("services", "ingest", "aggregator", "query_api")


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file that git tracks and that is still there; absolute paths."""
    # The clone may belong to another user, as in a container: that is no reason not to read it.
    command = ["git", "-c", "safe.directory=*", "-C", str(ROOT), "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def product_modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
