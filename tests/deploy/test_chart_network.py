"""Who finds whom: selectors that meet pods, services that meet ports, and policies that let through what is needed."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.deploy.chart import EXAMPLES, Manifest, example, of_kind, render

pytestmark = pytest.mark.deploy


def labels_of_pods(name: str) -> dict[str, Mapping[str, str]]:
    found = {}
    for each in of_kind(example(name), "Deployment", "Job"):
        labels = each["spec"]["template"]["metadata"]["labels"]
        found[labels["app.kubernetes.io/component"]] = labels
    return found


def met(selector: Mapping[str, str], name: str) -> set[str]:
    """Return the roles whose pods a selector meets."""
    return {role for role, labels in labels_of_pods(name).items() if selector.items() <= labels.items()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_selector_meets_the_pods_of_its_role_and_no_others(name: str) -> None:
    for each in example(name):
        spec, role = each.get("spec", {}), each["metadata"]["labels"].get("app.kubernetes.io/component")
        match each["kind"]:
            case "Deployment" | "PodDisruptionBudget":
                assert met(spec["selector"]["matchLabels"], name) == {role}
            case "NetworkPolicy":
                assert met(spec["podSelector"]["matchLabels"], name) == {role}
            case "Service":
                assert met(spec["selector"], name) == {role}
            case "ScaledObject":
                assert spec["scaleTargetRef"]["name"] == each["metadata"]["name"]
            case _:
                pass
    deployments = {each["metadata"]["name"] for each in of_kind(example(name), "Deployment")}
    assert {each["metadata"]["name"] for each in of_kind(example(name), "ScaledObject")} <= deployments


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_service_sends_to_a_port_that_its_pods_have(name: str) -> None:
    ports = {
        each["metadata"]["name"]: {port["name"] for port in each["spec"]["template"]["spec"]["containers"][0]["ports"]}
        for each in of_kind(example(name), "Deployment")
    }
    for service in of_kind(example(name), "Service"):
        deployment = service["metadata"]["name"].removesuffix("-health")
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports[deployment]


def test_every_role_is_scraped_ready_or_not() -> None:
    [monitor] = of_kind(example("production"), "ServiceMonitor")
    selector = monitor["spec"]["selector"]["matchLabels"]
    services = [
        each
        for each in of_kind(example("production"), "Service")
        if selector.items() <= each["metadata"]["labels"].items()
    ]
    roles = {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in services}
    assert roles == {"ingest", "aggregator", "api", "canary"}
    assert all(each["spec"]["publishNotReadyAddresses"] for each in services)
    [endpoint] = monitor["spec"]["endpoints"]
    assert {port["name"] for each in services for port in each["spec"]["ports"]} == {endpoint["port"]}


def policy(manifests: tuple[Manifest, ...], role: str) -> Mapping[str, Any]:
    [found] = [each for each in of_kind(manifests, "NetworkPolicy") if each["metadata"]["name"] == f"tidemark-{role}"]
    spec: Mapping[str, Any] = found["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    return spec


def ports_to(manifests: tuple[Manifest, ...], role: str) -> set[int]:
    return {port["port"] for rule in policy(manifests, role)["egress"] for port in rule["ports"]}


@pytest.mark.parametrize(
    ("role", "ports"),
    [
        ("topics", {53, 9093, 443}),
        ("ingest", {53, 9093, 443}),
        ("aggregator", {53, 9093, 6380, 443}),
        ("api", {53, 9093, 6380, 443}),
        ("canary", {53, 9093, 8080, 443}),
    ],
)
def test_a_role_reaches_what_it_needs_and_nothing_else(role: str, ports: set[int]) -> None:
    assert ports_to(example("production"), role) == ports


def test_each_broker_s_port_is_open_once() -> None:
    servers = r"settings.kafka.bootstrap_servers=kafka-0:9093\, kafka-1:9094\,kafka-2:9093"
    manifests = render(EXAMPLES["minimal"], sets=[servers, "networkPolicy.kafka.extraPorts={9192}"])
    [rule] = [rule for rule in policy(manifests, "ingest")["egress"] if {"port": 9093} in rule["ports"]]
    assert rule["ports"] == [{"port": 9093}, {"port": 9094}, {"port": 9192}]


def test_only_those_named_reach_a_pod() -> None:
    manifests = example("production")
    assert "ingress" not in policy(manifests, "topics")
    for role in ("ingest", "aggregator", "canary"):
        [scraped] = policy(manifests, role)["ingress"]
        assert scraped["from"] == [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        ]
        assert scraped["ports"] == [{"port": 8081}]
    scraped, called, by_canary = policy(manifests, "api")["ingress"]
    assert scraped["ports"] == [{"port": 8081}]
    assert called["ports"] == by_canary["ports"] == [{"port": 8080}]
    assert called["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}]


def test_no_peers_named_is_anybody() -> None:
    """A rule with an empty list is one for all peers; with none at all it would be for nobody."""
    [rule] = [rule for rule in policy(example("minimal"), "ingest")["egress"] if rule["ports"] == [{"port": 9092}]]
    assert rule["to"] == []


def test_the_hook_is_let_out_before_it_runs() -> None:
    hooks = [
        each
        for each in example("production")
        if "annotations" in each["metadata"] and "helm.sh/hook" in each["metadata"]["annotations"]
    ]
    order = sorted((int(each["metadata"]["annotations"]["helm.sh/hook-weight"]), each["kind"]) for each in hooks)
    assert order == [(-1, "NetworkPolicy"), (0, "Job")]
    assert {each["metadata"]["annotations"]["helm.sh/hook"] for each in hooks} == {"pre-install,pre-upgrade"}
    [job] = of_kind(example("production"), "Job")
    # What the release makes is not there yet.
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]
