"""Wrong values: Helm stops with one sentence that names the value and what to do."""

import re
from collections.abc import Mapping

import pytest

from tests.deploy.chart import EXAMPLES, Refused, pod_specs, render
from tests.deploy.chart_pods import pods

pytestmark = pytest.mark.deploy

MINIMAL, PRODUCTION = EXAMPLES["minimal"], EXAMPLES["production"]

REFUSED = {
    "image.repository=": "image.repository is empty: name the repository",
    "settings.kafka.bootstrap_servers=": "settings.kafka.bootstrap_servers is empty: give host:port",
    "settings.kafka.bootstrap_servers=kafka": '"kafka" has no port: give host:port',
    "settings.redis.url=": "no Redis is given: give settings.redis.url",
    "settings.redis.url=redis://:secret@redis:6379/0": "settings.redis.url holds a user or password",
    "secrets.redisUrl.existingSecret=redis": "leave either the one or the others",
    "secrets.identity.existingSecret=": "secrets.identity.existingSecret is empty: name a secret",
    "secrets.jwt.existingSecret=": "the API has nothing to check tokens with: name a secret",
    "settings.kafka.security_protocol=SASL_SSL": "give settings.kafka.sasl_username and secrets.kafkaPassword",
    "files.kafkaTls.existingSecret=tls": "is PLAINTEXT, which has no TLS: make it SSL or SASL_SSL",
    "files.redisTls.existingSecret=tls": "settings.redis.url has no TLS: let it begin with rediss",
    "files.redisTls.certificate=tls.crt": "files.redisTls names a client's certificate without its key",
    "files.kafkaTls.key=tls.key": "files.kafkaTls names a client's certificate without its key",
    "ingest.replicas=5": "ingest.replicas is 5, above settings.topics.events_partitions (4)",
    "aggregator.replicas=17": "aggregator.replicas is 17, above settings.topics.frames_partitions (16)",
    "aggregator.autoscaling.enabled=true": "KEDA asks Prometheus for lag: give autoscaling.prometheus.serverAddress",
    "settings.kafka.bootstrap_server=kafka:9092": "bootstrap_server",
    "settings.events.identity_secret=x": "identity_secret",
    "settings.ingest.port=9000": "'port' not allowed",
    "settings.topics.frames_partitions=none": "frames_partitions",
    "settings.testing.crash_point=x": "testing",
    "serviceMonitor.interval=5m": "/serviceMonitor/interval",
    "ingest.autoscaling.minReplicas=0": "/ingest/autoscaling/minReplicas",
    "replicas=3": "'replicas' not allowed",
}
PRODUCTION_REFUSED = {
    "aggregator.autoscaling.maxReplicas=33": "maxReplicas is 33, above settings.topics.frames_partitions (32)",
    "ingest.autoscaling.maxReplicas=13": "maxReplicas is 13, above settings.topics.events_partitions (12)",
    "ingest.autoscaling.minReplicas=7": "minReplicas is 7, above the most that there can be (6)",
    "secrets.canaryToken.existingSecret=": "the canary has no token for the API: name a secret",
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_wrong_value_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(Refused) as refusal:
        render(MINIMAL, sets=[wrong])
    assert REFUSED[wrong] in str(refusal.value)


@pytest.mark.parametrize("wrong", PRODUCTION_REFUSED)
def test_a_wrong_value_of_a_large_deployment_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(Refused) as refusal:
        render(PRODUCTION, sets=[wrong])
    assert PRODUCTION_REFUSED[wrong] in str(refusal.value)


def test_an_older_cluster_is_refused() -> None:
    with pytest.raises(Refused, match="requires kubeVersion"):
        render(MINIMAL, kubernetes="1.29")


def test_a_cluster_of_redis_is_taken() -> None:
    url = r"settings.redis.url=redis+cluster://redis-0:6379\,redis-1:6379"
    given = variables_of("aggregator", url)
    assert given["TIDEMARK_REDIS__URL"] == "redis+cluster://redis-0:6379,redis-1:6379"


def test_large_and_odd_numbers_stay_what_they_are() -> None:
    sets = ["settings.events.max_bytes=1048576", "settings.ingest.linger=0.25", "settings.api.rate_limit=none"]
    given = variables_of("ingest", *sets)
    assert given["TIDEMARK_EVENTS__MAX_BYTES"] == "1048576"
    assert given["TIDEMARK_INGEST__LINGER"] == "0.25"
    assert given["TIDEMARK_API__RATE_LIMIT"] == "none"


def test_a_role_can_be_held_at_a_release() -> None:
    manifests = render(PRODUCTION, sets=["ingest.imageTag=0.0.9"])
    images = {role: spec["containers"][0]["image"].rpartition("tidemark")[2] for role, spec in pod_specs(manifests)}
    assert images.pop("ingest") == ":0.0.9"
    assert {image[:9] for image in images.values()} == {"@sha256:0"}


def test_a_role_s_own_secret_needs_no_key_where_it_is_the_same() -> None:
    sets = ["secrets.redisPassword.existingSecret=all", "aggregator.secrets.redisPassword.existingSecret=own"]
    found = pods(render(MINIMAL, sets=sets))
    assert found["aggregator"].secret["TIDEMARK_REDIS__PASSWORD"] == ("own", "redis-password")
    assert found["api"].secret["TIDEMARK_REDIS__PASSWORD"] == ("all", "redis-password")


def test_the_longest_names_are_names() -> None:
    manifests = render(PRODUCTION, sets=["fullnameOverride=" + "a" * 60])
    names = [each["metadata"]["name"] for each in manifests]
    assert [name for name in names if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name)] == []


def variables_of(role: str, *sets: str) -> Mapping[str, str]:
    return pods(render(MINIMAL, sets=sets))[role].given
