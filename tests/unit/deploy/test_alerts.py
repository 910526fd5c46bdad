"""The alert rules, run by promtool on series written by hand: each alert fires in one case and not in another."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.alert_rules import RULES, alerts
from tests.support.promtool import promtool

SERIES = sorted((Path(__file__).parent / "alert_series").glob("*.yaml"))
_ALERT = re.compile(r'alertname=(~?)"([^"]+)"')


@pytest.mark.parametrize("series", SERIES, ids=lambda path: str(path.stem))
def test_the_alerts_of_written_series_are_those_that_belong_to_them(series: Path) -> None:
    command = [promtool(), "test", "rules", str(series)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_in_one_case_and_does_not_in_another() -> None:
    firing, silent = set(), set()
    for test in (test for path in SERIES for test in yaml.safe_load(path.read_text())["tests"]):
        for asked in test["promql_expr_test"]:
            fires = set(_firing(asked))
            firing |= fires
            silent |= {name for name in alerts() if _is_asked(asked["expr"], name)} - fires
    assert firing == set(alerts())
    assert silent == set(alerts())


def test_every_alert_says_how_urgent_it_is_what_it_means_and_where_to_read_on() -> None:
    for name, rule in alerts().items():
        assert name.startswith("Tidemark")
        assert rule["labels"]["severity"] in {"critical", "warning"}, name
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, name
        assert rule["annotations"]["runbook"] == f"deploy/docs/runbook.md#{name.lower()}"


def test_the_operators_page_names_every_alert() -> None:
    page = (RULES.parents[1] / "docs/operators.md").read_text()
    assert set(re.findall(r"\bTidemark[A-Z]\w+", page)) == set(alerts())


def _firing(asked: Mapping[str, Any]) -> Iterator[str]:
    for sample in asked.get("exp_samples", ()):
        if 'alertstate="firing"' in sample["labels"]:
            yield from (name for _, name in _ALERT.findall(sample["labels"]))


def _is_asked(expression: str, name: str) -> bool:
    return any(re.fullmatch(text, name) if is_regex else text == name for is_regex, text in _ALERT.findall(expression))
