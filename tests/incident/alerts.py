"""Asks promtool which alerts fire on what was scraped, one scrape standing for a minute."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.incident.scraping import Series
from tests.support.alert_rules import RULES
from tests.support.promtool import assert_rules_hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Whether an alert fires at a minute."""

    alert: str
    minute: int
    fires: bool


def assert_alerts(series: Series, expected: Sequence[Expected], directory: Path) -> None:
    """Fail with promtool's words where an alert fires and should not, or does not and should."""
    names = used_names(RULES.read_text(), series)
    asked = {"promql_expr_test": list(_asked(expected))}
    tests = [{"interval": "1m", "input_series": list(_input(series, names)), **asked}]
    assert_rules_hold(tests, directory / "incident.json")


def used_names(rules: str, series: Series) -> set[str]:
    """Return the names of series that the rules speak of: the others would only cost promtool time."""
    return {name for name in {key.partition("{")[0] for key in series} if name in rules}


def _input(series: Series, names: set[str]) -> Iterator[Mapping[str, str]]:
    for key, values in series.items():
        if key.partition("{")[0] in names:
            yield {"series": key, "values": " ".join(_written(values))}


def _written(values: Sequence[float | None]) -> Iterator[str]:
    """Yield promtool's notation: `1x3` is 1 and three more of it, `_x3` three that are missing.

    What is no longer scraped is marked stale at once, as Prometheus does; else it would be seen for five minutes more.
    """
    known = False
    for value, run in groupby(values):
        count = len(list(run))
        if value is not None:
            yield f"{value!r}x{count - 1}"
        elif known:
            yield f"stale _x{count - 1}" if count > 1 else "stale"
        else:
            yield f"_x{count}"
        known = value is not None


def _asked(expected: Sequence[Expected]) -> Iterator[Mapping[str, Any]]:
    for each in expected:
        firing = f'ALERTS{{alertname="{each.alert}",alertstate="firing"}}'
        yield {
            "expr": f"(count({firing}) or vector(0)) > bool 0",
            "eval_time": f"{each.minute}m",
            "exp_samples": [{"labels": "{}", "value": int(each.fires)}],
        }
