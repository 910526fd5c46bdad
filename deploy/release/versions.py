"""The version stands in `pyproject.toml`; what repeats it for other readers must say the same. Pure."""

import re


class NotReady(Exception):
    """Nothing is released; the message says what to do first."""


def check_changelog(text: str, version: str) -> None:
    """Check that a release has its section, with a date.

    Raises:
        NotReady: it has none.
    """
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", text, re.MULTILINE):
        raise NotReady(
            f"CHANGELOG.md has no section `## [{version}] - YEAR-MONTH-DAY`: put that line under [Unreleased], above"
            f" what {version} brings, or set the version in pyproject.toml to one that has its section"
        )


def check_chart(text: str, version: str) -> None:
    """Check what Chart.yaml says of its own version and of the one that it installs.

    Raises:
        NotReady: they are not the release's.
    """
    for name in ("version", "appVersion"):
        found = re.search(rf"^{name}:\s*[\"']?([^\"'\s#]+)", text, re.MULTILINE)
        if found is None or found[1] != version:
            told = "nothing" if found is None else found[1]
            raise NotReady(f"{name} in Chart.yaml says {told}, pyproject.toml says {version}: set both to {version}")
