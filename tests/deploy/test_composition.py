"""deploy/compose.yaml started without an engine: Kafka, Valkey, the topics and every role, the roles from the image."""

import re
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from tests.deploy.composition import DEPLOY, ROLES, service
from tests.deploy.containers import Composition, Container
from tests.deploy.tree import is_root
from tests.support.alert_rules import rules
from tests.support.child_process import ChildProcess
from tests.support.pipeline import await_condition
from tests.support.ports import free_ports
from tests.support.promtool import promtool

pytestmark = [pytest.mark.deploy, pytest.mark.guarantee, pytest.mark.timeout(300)]

PROMETHEUS = DEPLOY / "prometheus"
CANARY = "tidemark-canary-10s"


def test_every_role_gets_ready_and_is_healthy_by_the_images_check(containers: dict[str, Container]) -> None:
    assert set(containers) == set(ROLES)
    for name, container in containers.items():
        done = container.check_health()
        assert (done.returncode, done.stdout) == (0, '{"status": "healthy"}\n'), name


@pytest.mark.skipif(not is_root(), reason="without root the namespace has one user")
def test_every_role_runs_as_the_images_user_without_a_tree_to_write(containers: dict[str, Container]) -> None:
    for name, container in containers.items():
        status = Path(f"/proc/{container.pid}/status").read_text()
        assert re.search(r"^Uid:\s+10001\s+10001", status, re.MULTILINE), name
        mounts = Path(f"/proc/{container.pid}/mounts").read_text()
        assert re.search(r"^\S+ / \S+ ro[, ]", mounts, re.MULTILINE), name


def test_what_is_published_is_counted_once_and_served(containers: dict[str, Container]) -> None:
    """The canary says so: its events go through every service, one in five twice."""

    def seen() -> bool:
        metrics = canary_metrics(containers["canary"])
        return "tidemark_canary_age_seconds" in metrics and metrics.get("tidemark_canary_difference") == 0

    await_condition(seen, "the canary's events are counted and served", seconds=60, every=0.5)


def test_a_token_made_in_a_container_opens_the_api(composition: Composition, containers: dict[str, Container]) -> None:
    made = composition.run("api", "token", "--organization", CANARY, "--role", "Admin")
    assert made.returncode == 0, made.stderr
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"from": (today - timedelta(days=1)).isoformat(), "to": (today + timedelta(days=1)).isoformat()}
    asked = {"organizationId": CANARY, "granularity": "daily", **days}

    def status(token: str) -> int:
        url = f"http://127.0.0.1:{composition.api_port}/api/v1/organization/usage"
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(url, params=asked, headers=headers, timeout=10).status_code

    # 404 until the organization's first event is counted, 503 while a busy machine has no answer in time.
    await_condition(lambda: status(made.stdout.strip()) == 200, "the canary's usage is served", seconds=60, every=0.5)
    assert status("none") == 401


def canary_metrics(canary: Container) -> dict[str, float]:
    page = httpx.get(f"http://{canary.health}/metrics", timeout=10).text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def test_prometheus_scrapes_every_role_and_reads_the_rules(containers: dict[str, Container], tmp_path: Path) -> None:
    port = free_ports(1)[0]
    server = ChildProcess(
        "prometheus", prometheus_here(containers, tmp_path, port), directory=tmp_path, log=tmp_path / "log"
    )

    def asked(path: str, **query: str) -> Any:
        with suppress(httpx.HTTPError, ValueError):  # it says in words that it begins
            return httpx.get(f"http://127.0.0.1:{port}/api/v1/{path}", params=query, timeout=5).json().get("data")
        return None

    def labels(name: str, query: str) -> set[str]:
        answer = asked("query", query=query) or {"result": []}
        return {series["metric"][name] for series in answer["result"]}

    def roles() -> set[str]:
        return labels("role", "tidemark_build_info")

    def jobs() -> set[str]:
        return labels("job", "up == 1")

    try:
        await_condition(lambda: roles() == set(ROLES), "each role's metrics are there", seconds=60, every=0.3)
        # A scrape has a second here, in which a busy machine may not answer.
        await_condition(lambda: jobs() == {f"tidemark-{role}" for role in ROLES}, "each job is up", seconds=60)
        assert sum(len(group["rules"]) for group in asked("rules")["groups"]) == len(rules())
    finally:
        server.stop()


def prometheus_here(containers: dict[str, Container], directory: Path, port: int) -> list[str]:
    """Return the service's command on this machine; where it asks for names, its configuration has addresses."""
    program = Path(promtool()).with_name("prometheus")  # of one package
    config = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text())
    config["global"]["scrape_interval"] = "1s"
    config["rule_files"] = [str(PROMETHEUS / name) for name in config["rule_files"]]
    for job in config["scrape_configs"]:
        (looked_up,) = job.pop("dns_sd_configs")
        job["static_configs"] = [{"targets": [containers[name].health for name in looked_up["names"]]}]
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(config))
    words = [word.replace("=/etc/prometheus", f"={directory}") for word in service("prometheus")["command"]]
    words = [word.replace("=/prometheus", f"={directory}/data") for word in words]
    return [str(program), *words, f"--web.listen-address=127.0.0.1:{port}"]


def test_the_topics_are_as_the_settings_want_them(composition: Composition) -> None:
    done = composition.run("topics", "topics", "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all four topics are as the settings want them" in done.stdout
    again = composition.run("topics", "topics", "create")
    assert (again.returncode, again.stdout.startswith("all four topics are there")) == (0, True)


def test_no_secret_stands_in_a_log(containers: dict[str, Container], secrets: Path) -> None:
    made = re.findall(r"[0-9a-f]{64}", (secrets / "tidemark.toml").read_text())
    assert len(made) == 2
    for name, container in containers.items():
        assert container.written(), name
        assert not [secret for secret in made if secret in container.written()], name


def test_valkey_keeps_every_write_and_evicts_nothing(composition: Composition) -> None:
    wanted = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "auto-aof-rewrite-min-size": str(1 << 30),
        "save": "",
    }
    with Redis.from_url(composition.valkey.url, decode_responses=True) as client:
        assert {name: client.config_get(name)[name] for name in wanted} == wanted


def test_kafka_is_healthy_by_the_services_check(composition: Composition) -> None:
    program, *words = service("kafka")["healthcheck"]["test"][1:]
    for port, code in ((composition.kafka.port, 0), (1, 1)):
        here = [word.replace("19092", str(port)) for word in words]
        assert subprocess.run([program, *here], capture_output=True, check=False, timeout=20).returncode == code


def test_kafka_makes_no_topic_that_is_only_asked_for(composition: Composition) -> None:
    configuration = (composition.kafka.directory / "server.properties").read_text().splitlines()
    assert "auto.create.topics.enable=false" in configuration
    assert "node.id=1" in configuration
