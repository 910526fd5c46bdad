"""The dashboards: what Grafana needs is there, and every query parses and asks for what our table of metrics has."""

import json
import runpy
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.support.promtool import promtool
from tests.support.queries import (
    DASHBOARDS,
    SCRAPED,
    Query,
    dashboard_queries,
    dashboards,
    rule_queries,
    series_of_the_table,
)

QUERIES = [*dashboard_queries(), *rule_queries()]
SUBJECTS = {"lag", "throughput", "dead-letters", "redis", "api"}


def test_each_dashboard_is_what_its_panels_make() -> None:
    make = runpy.run_path(str(DASHBOARDS / "make.py"))
    assert set(make["names"]()) == set(dashboards()) == SUBJECTS
    for name in SUBJECTS:
        assert (DASHBOARDS / f"{name}.json").read_text() == make["text"](name), "run python deploy/grafana/make.py"


@pytest.mark.parametrize("name", sorted(SUBJECTS))
def test_a_dashboard_has_what_grafana_needs(name: str) -> None:
    board = dashboards()[name]
    assert board["uid"] == f"tidemark-{name}"
    assert board["schemaVersion"] >= 36
    assert [(each["name"], each["type"]) for each in board["templating"]["list"]] == [("datasource", "datasource")]
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 8
    assert not [pair for pair in combinations((panel["gridPos"] for panel in panels), 2) if overlap(*pair)]
    for panel in panels:
        if panel["type"] == "text":
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(one[at] < other[at] + other[size] and other[at] < one[at] + one[size] for at, size in ("xw", "yh"))


def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    rules: list[dict[str, Any]] = [
        {"record": f"query:{number}", "expr": query.expression} for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    command = [promtool(), "check", "rules", "--lint=none", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(QUERIES)} rules found" in done.stdout


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: str(query.where))
def test_a_query_asks_for_metrics_of_the_table_by_their_labels(query: Query) -> None:
    known = series_of_the_table()
    assert query.names, query
    assert query.names <= set(known), query
    assert query.labels <= SCRAPED.union(*(known[name] for name in query.names)), query
