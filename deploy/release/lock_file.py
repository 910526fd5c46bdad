"""What a hash-pinned lock file of requirements holds. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_PIN: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?:\s*;\s*(?P<marker>[^\\]+?))?\s*")
_HASH: Final = re.compile(r"--hash=sha256:(?P<hash>[0-9a-f]{64})\s*")


class WrongLock(Exception):
    """A line of the lock file is not understood; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One pinned distribution.

    Attributes:
        marker: for which Pythons and systems; empty for all.
        hashes: SHA-256 of each of its files that may be installed, in hexadecimal.
    """

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    @property
    def purl(self) -> str:
        """The package URL, which names it in a bill of materials."""
        return f"pkg:pypi/{re.sub(r'[-_.]+', '-', self.name).lower()}@{self.version}"


def read_lock(text: str) -> list[Pin]:
    """Return the pins in their order.

    Raises:
        WrongLock: a line is no pin with its hashes: what it says would be missing from the bill.
    """
    return [_pin(line) for line in _logical_lines(text)]


def _logical_lines(text: str) -> Iterator[str]:
    """Yield lines that go on behind a backslash as one, without comments and empty ones."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.strip()


def _pin(line: str) -> Pin:
    head, *options = re.split(r"(?=--hash=)", line)
    found = _PIN.fullmatch(head)
    hashes = [_HASH.fullmatch(option) for option in options]
    if found is None or not hashes or not all(hashes):
        raise WrongLock(f"{line[:80]!r} is no pin with SHA-256 hashes: make the lock file anew with `make lock`")
    return Pin(
        name=found["name"],
        version=found["version"],
        marker=found["marker"] or "",
        hashes=tuple(each["hash"] for each in hashes if each is not None),
    )
