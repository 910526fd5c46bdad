"""The chart by its examples: linted, rendered as the golden files have it, each manifest valid for its kind."""

import difflib
import re
import runpy
import tarfile
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.deploy.chart import CHART, DEPLOY, EXAMPLES, OPERATOR_API, Manifest, example, of_kind, render, run_helm
from tests.deploy.chart_golden import RENEW, file_of, text_of
from tests.deploy.chart_tools import KUBERNETES
from tests.deploy.kube_schemas import CUSTOM, faults

pytestmark = pytest.mark.deploy

SHARED = ("ServiceMonitor", "PrometheusRule")


@pytest.mark.parametrize("name", EXAMPLES)
def test_helm_finds_no_fault(name: str) -> None:
    done = run_helm("lint", "--strict", "--kube-version", KUBERNETES[-1], "--values", EXAMPLES[name], CHART)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_renders_as_its_golden_file(name: str) -> None:
    golden, rendered = file_of(name).read_text(), text_of(example(name))
    lines = difflib.unified_diff(golden.splitlines(), rendered.splitlines(), "golden", "rendered", lineterm="", n=8)
    difference = "\n".join(lines)
    assert not difference, f"{name} renders otherwise. If that is meant: {RENEW}\n{difference}"


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_manifest_is_valid_for_its_kind(name: str, version: str) -> None:
    manifests = render(EXAMPLES[name], kubernetes=version)
    assert [fault for each in manifests for fault in faults(each, version)] == []


def test_the_examples_show_every_template_and_kind() -> None:
    shown = {each["kind"] for name in EXAMPLES for each in example(name)}
    templates = (path.read_text() for path in (CHART / "templates").glob("*.yaml"))
    assert shown == {kind for text in templates for kind in re.findall(r"^kind: (\w+)", text, re.MULTILINE)}
    assert set(CUSTOM) <= shown


@pytest.mark.parametrize(
    "kind", ["NetworkPolicy", "Job", "PodDisruptionBudget", "ScaledObject", "ServiceAccount", *SHARED]
)
def test_what_is_turned_off_is_not_there(kind: str) -> None:
    assert of_kind(example("bare"), kind) == []
    assert of_kind(example("production"), kind)


def test_a_fault_in_a_manifest_is_found() -> None:
    [budget, *_] = of_kind(example("minimal"), "PodDisruptionBudget")
    broken: Manifest = {**budget, "spec": {**budget["spec"], "maxUnavalable": 1}}
    [fault] = faults(broken)
    assert fault.startswith("PodDisruptionBudget tidemark-ingest: spec: ")
    assert "'maxUnavalable' was unexpected" in fault


def test_a_fault_in_a_custom_resource_is_found() -> None:
    [scaled, *_] = of_kind(example("production"), "ScaledObject")
    broken: Manifest = {**scaled, "spec": {**scaled["spec"], "minReplicas": 1, "maxReplicaCount": "many"}}
    assert len(faults(broken)) == 2


def test_the_version_is_the_project_s() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    assert chart["version"] == chart["appVersion"] == project["version"]
    assert chart["kubeVersion"] == f">={KUBERNETES[0]}.0-0"


def test_the_schema_of_the_settings_is_that_of_the_product() -> None:
    make = runpy.run_path(str(DEPLOY / "helm/make_schema.py"))
    assert (CHART / "values.schema.json").read_text() == make["text"](), "run python deploy/helm/make_schema.py"


def test_the_operator_s_kinds_come_where_the_cluster_knows_them() -> None:
    assert of_kind(example("minimal"), *SHARED) == []
    assert len(of_kind(render(EXAMPLES["minimal"], apis=[OPERATOR_API]), *SHARED)) == 2
    assert of_kind(render(EXAMPLES["bare"], apis=[OPERATOR_API]), *SHARED) == []
    assert len(of_kind(example("production"), *SHARED)) == 2


def test_rules_and_dashboards_are_those_of_the_project() -> None:
    [rules] = of_kind(example("production"), "PrometheusRule")
    assert rules["spec"] == yaml.safe_load((DEPLOY / "prometheus/rules.yaml").read_text())
    [boards] = of_kind(example("production"), "ConfigMap")
    assert boards["data"] == {f"tidemark-{path.name}": path.read_text() for path in (DEPLOY / "grafana").glob("*.json")}
    linked = [path for path in (CHART / "files").rglob("*") if path.is_file()]
    # A link for each file: some packers do not follow one to a directory.
    assert len(linked) == len(boards["data"]) + 1
    assert all(path.is_symlink() for path in linked)


def test_a_packed_chart_has_the_rules_and_dashboards_in_it_and_nothing_strange(tmp_path: Path) -> None:
    done = run_helm("package", CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    [packed] = tmp_path.glob("tidemark-*.tgz")
    with tarfile.open(packed) as files:
        endings = {Path(name).suffix for name in files.getnames() if "/files/" in name}
        assert not [member.name for member in files if not member.isfile()]
    assert endings == {".json", ".yaml"}
    rendered = render(EXAMPLES["production"], chart=packed)
    assert text_of(rendered) == text_of(example("production"))
    assert of_kind(rendered, "PrometheusRule") == of_kind(example("production"), "PrometheusRule")
