"""Prometheus's own tool for rules and queries: Debian's package `prometheus` has it."""

import shutil

import pytest

from tests.support.servers import REQUIRE_REAL, real_is_required

_REMEDY = "promtool is not on the PATH (apt-get install --no-install-recommends prometheus)"


def promtool() -> str:
    """Return where promtool is; without it the test is skipped, in CI it fails."""
    found = shutil.which("promtool")
    if found is None and real_is_required():
        pytest.fail(f"{REQUIRE_REAL}=1 demands it: {_REMEDY}", pytrace=False)
    if found is None:
        pytest.skip(_REMEDY)
    return found
