"""Which release of Tidemark this is; the version stands in `pyproject.toml` and nowhere else."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

DISTRIBUTION: Final = "tidemark-usage"
UNKNOWN: Final = "unknown"


@cache
def running_version() -> str:
    """Return the version of the installed distribution; `unknown` when it runs from a bare source tree."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return UNKNOWN


def install(release: str) -> str:
    """Return what to do about data that another release wrote, whose version it says, or empty if it says none."""
    return (
        f"install Tidemark {release} or later" if release not in ("", UNKNOWN) else "install the release that wrote it"
    )
