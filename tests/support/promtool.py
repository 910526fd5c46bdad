"""Prometheus's own tool for rules and queries: Debian's package `prometheus` has it."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.alert_rules import RULES
from tests.support.servers import REQUIRE_REAL, real_is_required

RULES_SECONDS: Final = 120
_REMEDY = "promtool is not on the PATH (apt-get install --no-install-recommends prometheus)"


def promtool() -> str:
    """Return where promtool is; without it the test is skipped, in CI it fails."""
    found = shutil.which("promtool")
    if found is None and real_is_required():
        pytest.fail(f"{REQUIRE_REAL}=1 demands it: {_REMEDY}", pytrace=False)
    if found is None:
        pytest.skip(_REMEDY)
    return found


def assert_rules_hold(tests: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Let Prometheus's own engine run tests of the alert rules, by the minute; fail with its words where one fails.

    Args:
        tests: as `promtool test rules` takes them.
        file: written for it.
    """
    # JSON is YAML too.
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    command = [promtool(), "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RULES_SECONDS)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
