"""What runs in the chart's pods: settings that parse, commands that exist, secrets by name, what a pod may not do."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.cli.run import Role, refuse_known_secrets
from services.lifecycle import STOP_DEADLINE_S
from services.settings import Settings
from services.settings_loading import WrongSettings, load_settings
from tests.deploy.chart import CHART, EXAMPLES, Manifest, example, of_kind, pod_specs, render
from tests.deploy.chart_pods import Pod, example_pods, pods
from tests.deploy.command_line import parse

pytestmark = pytest.mark.deploy


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is a key, its certificate, and who signed it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path_factory.mktemp("tls") / "all.pem"
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


def settings_of(pod: Pod, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return the settings that the program in a pod reads."""
    for name, value in pod.variables().items():
        monkeypatch.setenv(name, str(certificate) if name in pod.files() else value)
    return load_settings()


def all_pods() -> Iterator[tuple[str, Pod]]:
    for name in EXAMPLES:
        for role, pod in example_pods(name).items():
            yield f"{name} {role}", pod


def test_every_variable_is_a_setting_that_parses(certificate: Path) -> None:
    for what, pod in all_pods():
        with pytest.MonkeyPatch.context() as patch:
            try:
                settings = settings_of(pod, certificate, patch)
                if pod.role in set(Role):
                    refuse_known_secrets(Role(pod.role), settings)
            except WrongSettings as error:
                pytest.fail(f"{what}: {error}")


def test_values_arrive_as_settings(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(example_pods("production")["aggregator"], certificate, monkeypatch)
    assert settings.topics.frames_partitions == 32
    assert settings.events.max_bytes == 1_048_576
    assert settings.events.keep_days == 761 * 86_400
    assert settings.kafka.security_protocol == "SASL_SSL"
    assert (settings.aggregator.host, settings.aggregator.port) == ("0.0.0.0", 8081)


def test_every_command_is_one_of_tidemark_s() -> None:
    for what, pod in all_pods():
        assert parse(pod.arguments) == f"tidemark {'topics create' if pod.role == 'topics' else 'run'}", what
        assert pod.role == "topics" or pod.arguments[1:] == [pod.role], what


def test_secrets_are_named_and_never_given() -> None:
    secret = {
        f"TIDEMARK_{group}__{name}".upper()
        for group, info in Settings.model_fields.items()
        for name, field in info.annotation.model_fields.items()  # type: ignore[union-attr]
        if "SecretStr" in str(field.annotation)
    }
    assert len(secret) >= 4
    for what, pod in all_pods():
        assert not secret & set(pod.given), what
    assert not re.search(r"kind: Secret\b", "".join(path.read_text() for path in (CHART / "templates").iterdir()))


USED = {
    "ingest": {"EVENTS__IDENTITY_SECRET", "KAFKA__SASL_PASSWORD"},
    "aggregator": {"EVENTS__IDENTITY_SECRET", "KAFKA__SASL_PASSWORD", "REDIS__PASSWORD"},
    "api": {"EVENTS__IDENTITY_SECRET", "KAFKA__SASL_PASSWORD", "REDIS__PASSWORD", "API__JWT_SECRET"},
    "canary": {"CANARY__API_TOKEN", "KAFKA__SASL_PASSWORD"},
    "topics": {"KAFKA__SASL_PASSWORD"},
}


def test_a_role_has_the_secrets_that_it_uses_and_no_others() -> None:
    """Though there are all of them, for all."""
    named = [f"secrets.{name}.existingSecret=all" for name in ("jwt", "redisPassword", "kafkaPassword", "canaryToken")]
    found = pods(render(EXAMPLES["production"], sets=named))
    assert {role: {name.removeprefix("TIDEMARK_") for name in pod.secret} for role, pod in found.items()} == USED
    with_redis = {role for role, pod in found.items() if "/etc/tidemark/redis-tls" in pod.mounts}
    assert with_redis == {"aggregator", "api"}


def test_a_file_that_a_setting_names_is_mounted() -> None:
    named = [(what, pod, file) for what, pod in all_pods() for file in pod.files().values()]
    assert len(named) > 10
    for what, pod, file in named:
        assert str(Path(file).parent) in pod.mounts, f"{what}: {file}"


def test_a_service_s_variables_do_not_reach_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    services = [each["metadata"]["name"] for each in of_kind(example("minimal"), "Service")]
    monkeypatch.setenv(f"{services[0]}_PORT".replace("-", "_").upper(), "tcp://10.0.0.1:80")
    with pytest.raises(WrongSettings, match="TIDEMARK_API_PORT"):
        load_settings()
    assert [role for role, spec in _all_specs() if spec["enableServiceLinks"] is not False] == []


def test_a_pod_is_not_root_and_writes_nowhere_but_in_its_tmp() -> None:
    for role, spec in _all_specs():
        assert spec["automountServiceAccountToken"] is False, role
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] >= 1000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
        assert writable == ["/tmp"], role
        assert "memory" in container["resources"]["limits"]
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "cpu" not in container["resources"]["limits"]


def test_a_role_is_asked_for_its_health_where_it_listens() -> None:
    for role, spec in _all_specs():
        if role == "topics":
            continue
        [container] = spec["containers"]
        ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
        given = {each["name"]: each.get("value") for each in container["env"]}
        port = "TIDEMARK_API__HEALTH_PORT" if role == "api" else f"TIDEMARK_{role.upper()}__PORT"
        assert given[port] == ports["health"]
        assert {
            probe: container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        } == {
            "startupProbe": {"path": "/healthz", "port": "health"},
            "livenessProbe": {"path": "/healthz", "port": "health"},
            "readinessProbe": {"path": "/readyz", "port": "health"},
        }


def test_a_node_that_is_drained_is_never_held_up() -> None:
    budgets = of_kind(example("minimal"), "PodDisruptionBudget")
    assert {each["metadata"]["name"] for each in budgets} == {
        f"tidemark-{role}" for role in ("ingest", "aggregator", "api")
    }
    for each in budgets:
        assert each["spec"]["maxUnavailable"] == 1
        assert each["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_roll_out_never_needs_more_workers_than_partitions() -> None:
    full = render(EXAMPLES["minimal"], sets=["ingest.replicas=4", "aggregator.replicas=16"])
    for each in of_kind(full, "Deployment"):
        rolling = each["spec"]["strategy"]["rollingUpdate"]
        wanted = {"maxSurge": 1, "maxUnavailable": 0} if each["metadata"]["name"] == "tidemark-api" else None
        assert rolling == (wanted or {"maxSurge": 0, "maxUnavailable": 1})


def test_a_pod_has_time_for_an_ordered_stop() -> None:
    for role, spec in _all_specs():
        if role == "topics":
            continue
        before = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert before == (5 if role == "api" else 0)
        assert spec["terminationGracePeriodSeconds"] > STOP_DEADLINE_S + before


def _all_specs() -> Iterator[tuple[str, Manifest]]:
    for name in EXAMPLES:
        yield from pod_specs(example(name))
