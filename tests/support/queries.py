"""What the dashboards and the alert rules ask of Prometheus: their queries, and the metrics and labels in these."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.telemetry import METRICS, Kind
from tests.support.alert_rules import rules

DASHBOARDS: Final = Path(__file__).parents[2] / "deploy/grafana"

PROCESS: Final = frozenset({"process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"})
SCRAPED: Final = frozenset({"job", "instance"})
"""Labels that a scrape adds to every series."""

_NAME = re.compile(r"\b(?:tidemark|process)[_:][a-z0-9_:]+")
_GROUPING = re.compile(r"\b(?:by|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_MATCHER = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"")
_LEGEND = re.compile(r"{{\s*(\w+)\s*}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query and where it stands; `legend` is a dashboard's."""

    where: str
    expression: str
    legend: str = ""

    @property
    def names(self) -> frozenset[str]:
        """The series' names, as they stand in a scrape."""
        return frozenset(_NAME.findall(self.expression))

    @property
    def labels(self) -> frozenset[str]:
        """Labels that are grouped, joined or matched by, or told."""
        grouped = {label.strip() for text in _GROUPING.findall(self.expression) for label in text.split(",")}
        return frozenset(grouped | set(_MATCHER.findall(self.expression)) | set(_LEGEND.findall(self.legend))) - {""}


def dashboards() -> Mapping[str, Mapping[str, Any]]:
    """Return the dashboards by file name, without their ending."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def dashboard_queries() -> Iterator[Query]:
    """Yield the queries of all dashboards, with a rate's interval filled in as Grafana would."""
    for name, board in dashboards().items():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield Query(
                    where=f"{name}.json, {panel['title']}",
                    expression=target["expr"].replace("$__rate_interval", "5m"),
                    legend=target["legendFormat"],
                )


def rule_queries() -> Iterator[Query]:
    for rule in rules():
        yield Query(where=rule.get("alert") or rule["record"], expression=rule["expr"])


def series_of_the_table() -> Mapping[str, frozenset[str]]:
    """Return each name that a series of ours may have, with its labels; those of processes and of rules too."""
    known: dict[str, frozenset[str]] = dict.fromkeys(PROCESS, frozenset())
    known |= {rule["record"]: frozenset() for rule in rules() if "record" in rule}
    for row in METRICS:
        labels = frozenset(row.labels)
        if row.kind is Kind.HISTOGRAM:
            known |= {f"{row.name}_bucket": labels | {"le"}, f"{row.name}_count": labels, f"{row.name}_sum": labels}
        else:
            known[row.name] = labels
    return known
