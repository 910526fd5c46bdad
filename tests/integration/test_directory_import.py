"""`tidemark directory import` as a process, on real brokers."""

import asyncio
import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.directory_admission import DirectoryAdmission
from ingest.verdicts import AdmissionRules, Rejected
from services import topics
from services.directory import Thing
from services.directory_records import DirectoryChange
from services.kafka import make_consumer
from services.settings import Settings
from services.settings_loading import load_settings
from tests.support.pipeline import TIDEMARK, clean_environment
from tests.support.servers import Broker
from tests.support.tansu_server import TansuServer

pytestmark = pytest.mark.integration

TABLE = """\
type,organizationid,subject,name,tier,username,email,role,verified,status,teamId
organization,acme,acme,Acme,enterprise,,,,,,
team,acme,core,Core,,,,,,,
user,acme,ada,,,Ada,ada@example.com,Admin,true,registered,core
user,Müller & Söhne,ada,,,Ada,ada@example.com,Member,false,invited,
"""


@pytest.fixture(scope="module")
def tansu() -> Iterator[TansuServer]:
    with TansuServer.start_new() as server:
        yield server


@pytest.fixture(params=["kafka", "tansu"])
def settings(request: pytest.FixtureRequest) -> Settings:
    return settings_on(request.getfixturevalue(request.param).bootstrap)


def settings_on(bootstrap: str) -> Settings:
    """Return settings with topics of this test's own that do not exist yet."""
    prefix = uuid.uuid4().hex[:8]
    names = {name: f"{prefix}.{name}" for name in ("events", "directory", "frames", "dead_letters")}
    return load_settings({"kafka": {"bootstrap_servers": bootstrap, "idempotence": False}, "topics": names})


async def import_(settings: Settings, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    variables = {
        "TIDEMARK_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "TIDEMARK_KAFKA__IDEMPOTENCE": str(settings.kafka.idempotence),
        "TIDEMARK_TOPICS__DIRECTORY": settings.topics.directory,
    }
    command = [*TIDEMARK, "directory", "import", *map(str, arguments)]
    return await asyncio.to_thread(
        subprocess.run,
        command,
        env=clean_environment(variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def records(settings: Settings) -> list[Any]:
    """Return what is in the directory topic."""
    (end,) = (await topics.end_offsets(settings, settings.topics.directory) or {}).values()
    consumer = make_consumer(settings.kafka, settings.topics.directory)
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            return [await consumer.getone() for _ in range(end)]
    finally:
        await consumer.stop()


def admitted(record: Any) -> DirectoryChange:
    rules = AdmissionRules(ignore_unknown=False, max_bytes=65_536, max_age_ms=None, max_ahead_ms=0)
    verdict = DirectoryAdmission(rules).admit(record.value, record.timestamp, record.headers)
    assert not isinstance(verdict, Rejected), verdict
    return verdict


async def test_a_table_is_in_the_topic_keyed_by_organization_and_a_later_import_holds(
    settings: Settings, tmp_path: Path
) -> None:
    await topics.create_missing(settings)
    (tmp_path / "people.csv").write_text(TABLE)
    for _ in range(2):
        done = await import_(settings, tmp_path / "people.csv", "--json")
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert (answer["published"], answer["bad"]) == (4, 0)
        assert answer["good"] == {"organization": 1, "team": 1, "user": 2}
    found = await records(settings)
    assert [record.key.decode() for record in found] == ["acme", "acme", "acme", "Müller & Söhne"] * 2
    changes = [admitted(record) for record in found]
    assert [change.thing for change in changes[:4]] == [Thing.ORGANIZATION, Thing.TEAM, Thing.USER, Thing.USER]
    first, second = ({change.version for change in some} for some in (changes[:4], changes[4:]))
    assert len(first) == len(second) == 1
    assert max(first) < min(second)


async def test_lines_are_published_byte_for_byte_and_a_file_with_a_bad_one_not_at_all(
    settings: Settings, tmp_path: Path
) -> None:
    await topics.create_missing(settings)
    good = (
        b'{"data" : {"settings":{"organizationid":"other"},"exp":2,"iat":1,"action":"upsert","version":1},'
        b'"specversion":"1.0","id":"1","source":"s","type":"directory.license","time":"2026-08-22T08:00:00Z",'
        b'"subject":"l","organizationid":"\\u0061cme"}'
    )
    file = tmp_path / "events.ndjson"
    file.write_bytes(good + b"\r\n\n" + good.replace(b'"exp":2', b'"exp":0') + b"\n")
    done = await import_(settings, file)
    assert done.returncode == 1
    assert "line 3, data.exp: not later than data.iat" in done.stderr
    assert await records(settings) == []
    file.write_bytes(good + b"\r\n" + good)
    done = await import_(settings, file)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 directory events acknowledged in ")
    assert [(record.key, record.value) for record in await records(settings)] == [
        (b"acme", good + b"\r"),
        (b"acme", good),
    ]


@pytest.mark.guarantee
async def test_a_missing_topic_is_one_sentence(kafka: Broker, tmp_path: Path) -> None:
    settings = settings_on(kafka.bootstrap)
    (tmp_path / "people.csv").write_text(TABLE)
    done = await import_(settings, tmp_path / "people.csv")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == (
        f"tidemark: there is no topic {settings.topics.directory}; `tidemark topics create` makes it"
    )
