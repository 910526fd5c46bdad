"""What kcat, a client that shares no code with ours, says of a topic."""

import os
import shutil
import subprocess

import pytest

from tests.support.servers import REQUIRE_REAL

SECONDS = 20


def demand_kcat() -> None:
    """Skip the test where kcat is not installed; CI must have it."""
    if shutil.which("kcat") is None and os.environ.get(REQUIRE_REAL) != "1":
        pytest.skip("kcat is not installed")


def ends(bootstrap: str, topic: str, partitions: int) -> dict[int, int]:
    """Return the end offset of each partition."""
    asked = [part for number in range(partitions) for part in ("-t", f"{topic}:{number}:-1")]
    # Each line: NAME [PARTITION] offset OFFSET
    lines = [line.rsplit(maxsplit=3) for line in _kcat("-Q", "-b", bootstrap, *asked).splitlines()]
    return {int(partition.strip("[]")): int(offset) for _, partition, _, offset in lines}


def timestamp_ms(bootstrap: str, topic: str, partition: int, offset: int) -> int:
    """Return the time of one record."""
    place = ("-t", topic, "-p", str(partition), "-o", str(offset))
    return int(_kcat("-C", "-b", bootstrap, *place, "-c", "1", "-e", "-q", "-f", "%T"))


def _kcat(*arguments: str) -> str:
    return subprocess.run(["kcat", *arguments], capture_output=True, text=True, timeout=SECONDS, check=True).stdout
