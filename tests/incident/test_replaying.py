"""Dead letters published again on real brokers: byte for byte, traceable, and marked where they lie."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from services import topics
from services.cli.main import app
from services.dead_letters import Reason, dead_letter_headers
from services.kafka import KafkaRefused, compressing_batch, make_producer
from services.settings import Settings
from services.settings_loading import environment, load_settings
from tests.support.dead_letters import BINARY, EVENT, HEADERS, event
from tests.support.ports import LOOPBACK, free_ports
from tests.support.records import Record, read_partition, read_to_end
from tests.support.tansu_server import TansuServer

pytestmark = pytest.mark.integration

LARGE = b"x" * 1_500_000
DIRECTORY = event(type="directory.organization", subject="acme", data={"version": 1, "action": "delete"})
OWN: list[Any] = [("trace", b"\x00\xff"), ("ours-not", None)]


@pytest.fixture(scope="module")
def tansu() -> Iterator[TansuServer]:
    with TansuServer.start_new() as server:
        yield server


@pytest.fixture(params=["kafka", "tansu"])
def settings(request: pytest.FixtureRequest) -> Settings:
    prefix = uuid.uuid4().hex[:8]
    names = {name: f"{prefix}.{name}" for name in ("events", "directory", "frames", "dead_letters")}
    kafka = {"bootstrap_servers": request.getfixturevalue(request.param).bootstrap, "idempotence": False}
    (nobody,) = free_ports(1)
    lifted = {"max_age": "none", "keep_hours": "none", "keep_days": "none"}
    redis = {"url": f"redis://{LOOPBACK}:{nobody}"}
    return load_settings({"kafka": kafka, "topics": names, "events": lifted, "redis": redis})


def command(settings: Settings, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    result = CliRunner().invoke(app, ["dead-letters", *arguments, "--json"], env=environment(settings))
    assert result.exit_code == code, (result.output, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines()]


async def keep(settings: Settings, letters: list[tuple[str, bytes | None, bytes | None, list[Any]]]) -> None:
    """Put records among the dead letters, all in partition 1, one batch each."""
    producer = make_producer(settings.kafka)
    await producer.start()
    try:
        for at, (topic, value, key, headers) in enumerate(letters):
            ours = dead_letter_headers(headers, Reason.UNKNOWN_FIELD, None, topic, 3, at, 1000 + at)
            batch = compressing_batch() if value is LARGE else producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=ours)
            await (await producer.send_batch(batch, settings.topics.dead_letters, partition=1))
    finally:
        await producer.stop()


def published(settings: Settings, topic: str) -> dict[str | None, Record]:
    """Return a topic's records by the letters that they come from."""
    records = read_to_end(settings.kafka.bootstrap_servers, topic)
    return {record.header("tidemark-replayed"): record for record in records}


async def prepared(settings: Settings) -> None:
    await topics.create_missing(settings)
    usage: list[tuple[bytes | None, bytes | None, list[Any]]] = [(EVENT, b"acme", OWN), (BINARY, None, [*HEADERS])]
    strange: list[tuple[bytes | None, bytes | None, list[Any]]] = [
        (None, None, []),
        (LARGE, b"acme", []),
        (b"\xff", b"\xff", []),
    ]
    letters = [(settings.topics.events, *each) for each in usage + strange]
    await keep(settings, [*letters, (settings.topics.directory, DIRECTORY, b"acme", [])])


def replay(settings: Settings, *arguments: str, code: int) -> dict[str, Any]:
    [answer] = command(settings, "replay", *arguments, code=code)
    return answer


def test_what_is_published_again_is_the_record_itself_with_where_it_comes_from(settings: Settings) -> None:
    asyncio.run(prepared(settings))
    sound = replay(settings, "--all", "--no-wait", code=1)
    assert (sound["sent"], sound["skipped"], sound["accepted"]) == (3, {"would_be_refused_again": 3}, None)
    rest = replay(settings, "--all", "--force", "--no-wait", code=0)
    assert (rest["sent"], rest["skipped"]) == (3, {"replayed_before": 3})
    [(directory_letter, directory)] = published(settings, settings.topics.directory).items()
    assert (directory_letter, directory.value, directory.key) == ("1:5", DIRECTORY, b"acme")
    records = published(settings, settings.topics.events)
    expected = {
        "1:0": (EVENT, b"acme", OWN, sound["run"]),
        "1:1": (BINARY, None, list(HEADERS), sound["run"]),
        "1:2": (None, None, [], rest["run"]),
        "1:3": (LARGE, b"acme", [], rest["run"]),
        "1:4": (b"\xff", b"\xff", [], rest["run"]),
    }
    assert records.keys() == expected.keys()
    for letter, (value, key, headers, run) in expected.items():
        record = records[letter]
        assert (record.value, record.key) == (value, key)
        ours = [("tidemark-replayed", letter.encode()), ("tidemark-replay-run", run.encode())]
        assert record.headers == [*headers, *ours]
    listed = command(settings, "list")
    assert [(line["id"], line["replayed"]["run"]) for line in listed] == [
        *((letter, run) for letter, (_, _, _, run) in expected.items()),
        ("1:5", sound["run"]),
    ]
    log = read_partition(settings.kafka.bootstrap_servers, settings.topics.dead_letters, 1)
    assert [record.header("tidemark-note") for record in log] == [*[None] * 6, "replayed", "replayed"]


def test_what_is_not_known_in_time_is_said_to_be_unknown(settings: Settings) -> None:
    asyncio.run(prepared(settings))
    answer = replay(settings, "1:0", "1:9", "--timeout", "0.5", code=1)
    assert (answer["sent"], answer["skipped"], answer["caughtUp"]) == (1, {"no_such_letter": 1}, False)
    assert answer["accepted"] is None
    [shown] = command(settings, "show", "1:0")
    assert shown["replayed"]["run"] == answer["run"]
    assert shown["now"].startswith("replayed before")
    command(settings, "show", "1:9", code=1)


async def test_the_embedded_broker_says_that_it_cannot_delete_records(tansu: TansuServer) -> None:
    settings = load_settings({"kafka": {"bootstrap_servers": tansu.bootstrap, "idempotence": False}})
    await topics.create_missing(settings)
    with pytest.raises(KafkaRefused, match="the embedded one cannot delete any"):
        await topics.delete_before(settings, settings.topics.dead_letters, {0: 1})
