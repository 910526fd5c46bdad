"""deploy/compose.yaml, and what it mounts, read: its form, and that all it names is there and fits together."""

import json
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from services.durations import parse_duration
from services.lifecycle import STOP_DEADLINE_S
from services.settings import DEVELOPMENT_SECRET, Settings
from services.settings_loading import WrongSettings, load_settings
from tests.deploy.command_line import WrongUse, parse
from tests.deploy.compose_schema import compose_schema
from tests.deploy.composition import DEPLOY, OURS, ROLES, ROOT, composition, environment, mounts, published, service
from tests.deploy.dockerfile import Image, read
from tests.support.promtool import promtool
from tests.support.queries import dashboards

pytestmark = pytest.mark.deploy

PROMETHEUS = DEPLOY / "prometheus/prometheus.yaml"
PROVISIONING = DEPLOY / "grafana/provisioning"


@pytest.fixture(scope="module")
def image() -> Image:
    base = Image(environment={"PATH": "/usr/bin"})
    return read((DEPLOY / "Dockerfile").read_text(), base=base)[-1].image


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What deploy/secrets.sh makes."""
    directory = tmp_path_factory.mktemp("deploy") / "secrets"
    make_secrets(directory)
    return directory


def make_secrets(directory: Path) -> str:
    command = ["sh", str(DEPLOY / "secrets.sh"), str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


def settings_in(image: Image, name: str, secrets: Path, monkeypatch: pytest.MonkeyPatch, **changes: str) -> Settings:
    """Return the settings that a service's process has, with these changes."""
    for variable in [each for each in os.environ if each.startswith("TIDEMARK_")]:
        monkeypatch.delenv(variable)
    config = secrets / "tidemark.toml"
    variables = {**image.environment, **environment(name), "TIDEMARK_CONFIG": str(config), **changes}
    for variable, value in variables.items():
        if variable.startswith("TIDEMARK_"):
            monkeypatch.setenv(variable, value)
    return load_settings()


def test_it_is_as_the_compose_specification_has_it() -> None:
    errors = jsonschema_rs.validator_for(dict(compose_schema())).iter_errors(composition())
    assert [f"{list(error.instance_path)}: {error.message}" for error in errors] == []


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_its_value_can_be_read(
    name: str, image: Image, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(image, name, secrets, monkeypatch)
    assert settings.kafka.bootstrap_servers == "kafka:19092"
    assert settings.redis.url == "redis://valkey:6379/0"
    assert all(variable.startswith("TIDEMARK_") for variable in environment(name))


def test_a_variable_that_is_no_setting_would_be_found(
    image: Image, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WrongSettings, match="TIDEMARK_INGEST__HEALTH_PORT"):
        settings_in(image, "ingest", secrets, monkeypatch, TIDEMARK_INGEST__HEALTH_PORT="8081")


@pytest.mark.parametrize(("name", "command"), [("topics", "topics create"), *((role, "run") for role in ROLES)])
def test_every_command_exists(name: str, command: str) -> None:
    assert parse(service(name)["command"]) == f"tidemark {command}"


@pytest.mark.parametrize(
    "command", [["topics", "make"], ["run", "ingestion"], ["run"], ["runs", "ingest"], ["run", "api", "--as"]]
)
def test_a_command_that_does_not_exist_would_be_found(command: list[str]) -> None:
    with pytest.raises(WrongUse):
        parse(command)


def test_every_command_of_the_page_exists() -> None:
    page = (DEPLOY / "docs/deploy.md").read_text()
    told = re.findall(
        r"^docker compose --file deploy/compose.yaml (?:exec|run --rm) (\w+) tidemark (.+)$", page, re.MULTILINE
    )
    assert len(told) >= 3
    for name, command in told:
        assert name in OURS
        parse(command.split())


def test_there_is_one_of_each_role_and_the_canary_only_by_its_profile() -> None:
    assert {name: service(name)["command"] for name in ROLES} == {role: ["run", role] for role in ROLES}
    assert [name for name in composition()["services"] if service(name).get("profiles")] == ["canary"]


@pytest.mark.parametrize("name", OURS)
def test_a_role_can_do_as_little_as_possible(name: str, image: Image) -> None:
    ours = service(name)
    assert ours["read_only"] is True
    assert ours["cap_drop"] == ["ALL"]
    assert ours["security_opt"] == ["no-new-privileges:true"]
    assert ours["tmpfs"] == ["/tmp:size=64m,mode=1777"]
    assert image.user == "10001:10001"
    assert not mounts(name)


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_started_again_and_has_the_time_of_its_ordered_stop(name: str) -> None:
    assert service(name)["restart"] == "unless-stopped"
    patience = parse_duration(service(name)["stop_grace_period"])
    assert isinstance(patience, float)
    assert patience > STOP_DEADLINE_S


def test_a_service_waits_for_services_that_can_say_that_they_are_there() -> None:
    for name, each in composition()["services"].items():
        for needed, how in each.get("depends_on", {}).items():
            other = service(needed)
            match how["condition"]:
                case "service_healthy":
                    assert needed in ROLES or other["healthcheck"]["test"][0] == "CMD", (name, needed)
                case "service_completed_successfully":
                    assert other["restart"] == "no", (name, needed)
                case condition:
                    assert condition == "service_started", (name, needed)


def test_all_published_ports_are_on_loopback_and_are_those_of_the_settings(
    image: Image, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = settings_in(image, "api", secrets, monkeypatch).api
    wanted = {"kafka": 9092, "api": api.port, "prometheus": 9090, "grafana": 3000}
    found = {name: published(name) for name in composition()["services"] if published(name)}
    assert found == {name: [("127.0.0.1", port, port)] for name, port in wanted.items()}
    assert api.host == "0.0.0.0"
    assert "HOST://127.0.0.1:9092" in environment("kafka")["KAFKA_ADVERTISED_LISTENERS"]


def test_every_file_that_is_mounted_is_there_and_every_volume_named(secrets: Path) -> None:
    named = set()
    for name in composition()["services"]:
        for place, source in mounts(name).items():
            assert place.startswith("/")
            if isinstance(source, Path):
                assert source.is_dir(), (name, place)
            else:
                named.add(source)
    assert named == set(composition()["volumes"])
    files = {secret["file"] for secret in composition()["secrets"].values()}
    assert files == {f"./secrets/{path.name}" for path in secrets.iterdir()}


def test_every_role_has_secrets_of_its_own_in_a_file(
    image: Image, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OURS:
        assert service(name)["secrets"] == ["tidemark"]
        assert environment(name)["TIDEMARK_CONFIG"] == "/run/secrets/tidemark"
        assert not [variable for variable in environment(name) if "SECRET" in variable]
    settings = settings_in(image, "api", secrets, monkeypatch)
    made = [settings.events.identity_secret.get_secret_value(), settings.api.jwt_secret.get_secret_value()]
    assert len(set(made)) == 2
    assert DEVELOPMENT_SECRET not in made
    assert environment("grafana")["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_password"


def test_secrets_are_made_once_kept_from_others_and_from_git_and_the_image(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    make_secrets(directory)
    before = {path.name: path.read_text() for path in directory.iterdir()}
    assert "stays as it is" in make_secrets(directory)
    assert {path.name: path.read_text() for path in directory.iterdir()} == before
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o644}
    assert len(set(re.findall(r"[0-9a-f]{64}", "".join(before.values())))) == 3
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "deploy" not in (ROOT / ".dockerignore").read_text().replace("deploy/Dockerfile", "")


def test_prometheus_can_read_its_configuration() -> None:
    done = subprocess.run(
        [promtool(), "check", "config", PROMETHEUS], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules.yaml" in done.stdout


def test_prometheus_scrapes_every_role_where_its_health_is(image: Image) -> None:
    config = scraping()
    assert mounts("prometheus")["/etc/prometheus"] == PROMETHEUS.parent
    assert "--config.file=/etc/prometheus/prometheus.yaml" in service("prometheus")["command"]
    ports = {image.environment[f"TIDEMARK_{name}"] for name in _HEALTH_PORTS}
    assert ports == {"8081"}
    jobs = {job["job_name"]: job["dns_sd_configs"] for job in config["scrape_configs"]}
    assert jobs == {
        f"tidemark-{role}": [{"names": [role], "type": "A", "port": 8081, "refresh_interval": "10s"}] for role in ROLES
    }
    example = (DEPLOY / "docs/operators.md").read_text()
    assert set(re.findall(r"job_name: (tidemark-\w+)", example)) <= set(jobs)
    interval = parse_duration(config["global"]["scrape_interval"])
    assert isinstance(interval, float)
    assert interval <= 60  # what the rules count on


_HEALTH_PORTS = ("INGEST__PORT", "AGGREGATOR__PORT", "CANARY__PORT", "API__HEALTH_PORT")


def test_the_health_check_of_the_image_asks_where_every_role_answers(image: Image) -> None:
    assert image.healthcheck == ["python", "-m", "services.health_probe", "127.0.0.1:8081"]
    assert sorted(image.ports) == [8080, 8081]
    hosts = {image.environment[f"TIDEMARK_{name.replace('PORT', 'HOST')}"] for name in _HEALTH_PORTS}
    assert hosts == {"0.0.0.0"}


def test_grafana_finds_prometheus_and_every_dashboard() -> None:
    (source,) = _provisioned("datasources/prometheus.yaml")["datasources"]
    ((_, _, port),) = published("prometheus")
    assert (source["type"], source["url"]) == ("prometheus", f"http://prometheus:{port}")
    assert source["isDefault"] is True  # the dashboards take the default one
    assert {list_["query"] for board in dashboards().values() for list_ in board["templating"]["list"]} == {
        "prometheus"
    }
    (provider,) = _provisioned("dashboards/tidemark.yaml")["providers"]
    assert provider["type"] == "file"
    mounted = mounts("grafana")[provider["options"]["path"]]
    assert isinstance(mounted, Path)
    found = {json.loads(path.read_text())["uid"] for path in mounted.rglob("*.json")}
    assert found == {board["uid"] for board in dashboards().values()}
    assert mounts("grafana")["/etc/grafana/provisioning"] == PROVISIONING


def test_nothing_lies_about_that_is_not_mounted() -> None:
    """Grafana reads every file of these folders, and passes over what it does not know in silence."""
    assert {str(path.relative_to(PROVISIONING)) for path in PROVISIONING.rglob("*.*")} == {
        "datasources/prometheus.yaml",
        "dashboards/tidemark.yaml",
    }


def scraping() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(PROMETHEUS.read_text())
    return read


def _provisioned(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((PROVISIONING / name).read_text())
    assert read["apiVersion"] == 1
    return read
