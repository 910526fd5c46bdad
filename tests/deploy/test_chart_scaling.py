"""How KEDA scales: questions that Prometheus can answer, answers that mean what the values say, bounds that hold."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from services.settings import Settings
from tests.deploy.chart import CHART, DEPLOY, EXAMPLES, example, of_kind, render
from tests.deploy.chart_tools import module_files
from tests.support.promtool import promtool
from tests.support.queries import SCRAPED, Query, series_of_the_table

pytestmark = pytest.mark.deploy

ROLES = ("ingest", "aggregator")
OPERATORS_LABELS = frozenset({"namespace"})
"""That a ServiceMonitor's scrape adds."""

_PARAMETER = re.compile(r'keda:"name=(\w+),.*?(optional|default=\w+)?"')


def scaled(role: str) -> Mapping[str, Any]:
    found = {each["metadata"]["name"]: each["spec"] for each in of_kind(example("production"), "ScaledObject")}
    spec: Mapping[str, Any] = found[f"tidemark-{role}"]
    return spec


def triggers(role: str) -> dict[str, Mapping[str, Any]]:
    return {each["name"]: each for each in scaled(role)["triggers"]}


def query(role: str, trigger: str) -> str:
    return str(triggers(role)[trigger]["metadata"]["query"])


@pytest.mark.parametrize("role", ROLES)
def test_a_query_asks_for_metrics_of_the_table_by_their_labels(role: str) -> None:
    known = series_of_the_table()
    for name in triggers(role):
        asked = Query(where=name, expression=query(role, name))
        assert asked.names, asked
        assert asked.names <= set(known)
        assert asked.labels <= OPERATORS_LABELS | SCRAPED.union(*(known[each] for each in asked.names))
        assert "namespace" in asked.labels


@pytest.mark.parametrize("role", ROLES)
def test_a_trigger_has_what_keda_s_scaler_reads(role: str) -> None:
    found = dict(_PARAMETER.findall((module_files() / "prometheus_scaler.go").read_text()))
    needed = {name for name, may_be_absent in found.items() if not may_be_absent}
    assert needed == {"serverAddress", "query", "threshold"}
    for trigger in triggers(role).values():
        assert needed <= set(trigger["metadata"]) <= set(found)
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
        # Unknown is not 0, which would take workers away.
        assert trigger["metadata"]["ignoreNullValues"] == "false"


class Case(NamedTuple):
    """Ages of the oldest record of each partition, by topic, and how many each role is late with."""

    frames: Sequence[int]
    events: Sequence[int]
    ingest: int | None
    aggregator: int | None


AGES = {
    "nobody is late": Case([3, 12], [5, 20], ingest=0, aggregator=0),
    "frames are late": Case([3, 45], [50, 20], ingest=0, aggregator=1),
    "all are late by both": Case([31, 45], [80, 90], ingest=2, aggregator=2),
    "one is late by ingest": Case([3, 0], [80, 20], ingest=1, aggregator=0),
    "the frames are not known": Case([], [80, 20], ingest=None, aggregator=None),
    "nothing is known": Case([], [], ingest=None, aggregator=None),
}


@pytest.mark.parametrize("case", AGES)
def test_late_partitions_are_counted_by_the_role_that_is_late(case: str, tmp_path: Path) -> None:
    known = AGES[case]
    series = [
        {"series": _age(topic, partition, instance), "values": f"{age}x10"}
        for topic, ages in (("frames", known.frames), ("events", known.events))
        for partition, age in enumerate(ages)
        # Each API process tells all of it.
        for instance in ("q", "r")
    ]
    # Another release in the same Prometheus is none of ours.
    others = [_age(topic, 0, "q").replace('"usage"', '"other"') for topic in ("frames", "events")]
    series += [{"series": other, "values": "900x10"} for other in others]
    asked = [_asked(query(role, "late-partitions"), getattr(known, role)) for role in ROLES]
    _promtool(series, asked, tmp_path)


def test_load_is_all_workers_events_a_second(tmp_path: Path) -> None:
    series = [
        {"series": _events("aggregator", instance, result), "values": f"0+{each}x10"}
        for instance in ("a", "b")
        for result, each in (("counted", 60_000), ("duplicate", 600))
    ]
    series.append({"series": _events("ingest", "i", "accepted"), "values": "0+90000x10"})
    asked = [
        _asked(f"round({query('aggregator', 'load')})", 2_020),
        _asked(f"round({query('ingest', 'load')})", 1_500),
    ]
    _promtool(series, asked, tmp_path)


@pytest.mark.parametrize(("role", "partitions", "most"), [("ingest", 12, 6), ("aggregator", 32, 32)])
def test_there_are_never_more_workers_than_partitions(role: str, partitions: int, most: int) -> None:
    assert scaled(role)["maxReplicaCount"] == most <= partitions
    assert scaled(role)["minReplicaCount"] >= 1
    unset = render(EXAMPLES["production"], sets=["ingest.autoscaling.maxReplicas=0"])
    bounds = {each["metadata"]["name"]: each["spec"]["maxReplicaCount"] for each in of_kind(unset, "ScaledObject")}
    assert bounds[f"tidemark-{role}"] == partitions


def test_keda_alone_says_how_many_there_are() -> None:
    deployments = of_kind(example("production"), "Deployment")
    given = {each["metadata"]["name"]: each["spec"].get("replicas") for each in deployments}
    assert given == {"tidemark-ingest": None, "tidemark-aggregator": None, "tidemark-api": 3, "tidemark-canary": 1}


def test_a_rebalance_is_no_reason_for_another_one() -> None:
    """The numbers that the comments of values.yaml reason with, as the product has them."""
    scaling = yaml.safe_load((CHART / "values.yaml").read_text())["autoscaling"]
    found = re.search(r"broker_rebalance_timeout=([\d.]+)", (DEPLOY.parent / "aggregator/app.py").read_text())
    assert found is not None
    rebalance_s, settings = float(found[1]), Settings()
    assert scaling["lateAfterSeconds"] > rebalance_s
    session_s = max(settings.ingest.session_timeout, settings.aggregator.session_timeout)
    seen_s = settings.api.ops_interval + 15
    assert scaling["scaleUp"]["stabilizationWindowSeconds"] >= 2 * (rebalance_s + session_s + seen_s)
    assert scaling["scaleUp"]["periodSeconds"] > scaling["scaleUp"]["stabilizationWindowSeconds"]
    assert scaling["scaleDown"]["stabilizationWindowSeconds"] > scaling["scaleDown"]["periodSeconds"]


def test_a_renamed_topic_is_asked_for_by_its_name() -> None:
    sets = ["settings.topics.frames=eu.frames", "settings.topics.events=eu.events"]
    objects = of_kind(render(EXAMPLES["production"], sets=sets), "ScaledObject")
    queries = [trigger["metadata"]["query"] for each in objects for trigger in each["spec"]["triggers"]]
    topics = {topic for text in queries for topic in re.findall(r'topic="([^"]+)"', text)}
    assert topics == {"eu.frames", "eu.events"}


def _age(topic: str, partition: int, instance: str) -> str:
    labels = f'topic="usage.{topic}",partition="{partition}",instance="{instance}",namespace="usage"'
    return f"tidemark_oldest_unapplied_seconds{{{labels}}}"


def _events(role: str, instance: str, result: str) -> str:
    return f'tidemark_events_total{{role="{role}",result="{result}",instance="{instance}",namespace="usage"}}'


def _asked(expression: str, value: float | None) -> Mapping[str, Any]:
    samples = [] if value is None else [{"labels": "{}", "value": value}]
    return {"expr": expression, "eval_time": "9m", "exp_samples": samples}


def _promtool(series: list[dict[str, str]], asked: list[Mapping[str, Any]], directory: Path) -> None:
    file = directory / "scaling.json"
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": asked}]
    file.write_text(json.dumps({"evaluation_interval": "1m", "tests": tests}))
    command = [promtool(), "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
