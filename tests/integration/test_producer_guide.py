import os
import re
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import NewTopic

from ingest.admission import Admission, Admitted
from ingest.directory_admission import DirectoryAdmission
from ingest.verdicts import AdmissionRules
from services.directory_records import DirectoryChange
from services.kafka import make_admin, make_consumer
from services.settings import KafkaSettings
from tests.support.pipeline import clean_environment
from tests.support.servers import REQUIRE_REAL, Broker

pytestmark = [pytest.mark.integration, pytest.mark.guarantee]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "deploy" / "docs"
PARTITIONS = 4
MURMUR2_OF_ACME = 0
"""Where Kafka's own partitioner puts the key `acme` of four partitions; librdkafka's default would say CRC32."""

RULES = AdmissionRules(ignore_unknown=False, max_bytes=65_536, max_age_ms=86_400_000, max_ahead_ms=300_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A fenced block of a guide that is a program."""

    guide: str
    language: str
    text: str


def examples(guide: str) -> list[Example]:
    """Return the programs of a guide; what else it shows is a test of its own."""
    blocks = re.finditer(r"^```(\w+)\n(.*?)^```$", (DOCS / guide).read_text(), re.DOTALL | re.MULTILINE)
    found = [Example(guide=guide, language=match[1], text=match[2]) for match in blocks]
    return [each for each in found if each.language in ("python", "sh")]


USAGE, DIRECTORY = examples("producers.md"), examples("directory.md")


def name_of(example: Example) -> str:
    of_guide = USAGE if example in USAGE else DIRECTORY
    return f"{example.guide}-{of_guide.index(example)}-{example.language}"


def run_example(example: Example, topic: str) -> str:
    """Run it as a reader would, with `tidemark` on the path; return what it printed."""
    program = [sys.executable, "-W", "error", "-c"] if example.language == "python" else ["sh", "-euc"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = clean_environment({"TIDEMARK_TOPICS__DIRECTORY": topic, "PATH": path})
    done = subprocess.run(
        [*program, example.text], env=environment, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def published(kafka: Broker, example: Example) -> tuple[Any, str]:
    """Run an example on a topic of its own; return the first record there, and what was printed."""
    if "kcat" in example.text and shutil.which("kcat") is None and os.environ.get(REQUIRE_REAL) != "1":
        pytest.skip("kcat is not installed")
    topic = f"guide-{uuid.uuid4().hex[:8]}"
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap)
    admin = make_admin(settings)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    finally:
        await admin.close()
    assert "kafka:9092" in example.text
    text = example.text.replace("kafka:9092", kafka.bootstrap)
    text = re.sub(r"usage\.(events|directory)", topic, text)
    printed = run_example(replace(example, text=text), topic)

    consumer = make_consumer(settings, topic)
    await consumer.start()
    try:
        return await consumer.getone(), printed
    finally:
        await consumer.stop()


@pytest.mark.parametrize("example", USAGE, ids=name_of)
async def test_an_example_of_the_guide_publishes_an_event_that_is_admitted(kafka: Broker, example: Example) -> None:
    record, printed = await published(kafka, example)
    verdict = Admission(RULES).admit(record.value, record.timestamp, record.headers)
    assert isinstance(verdict, Admitted), verdict
    assert record.key == verdict.event.organizationid.encode() == b"acme"
    assert (record.partition, printed) == (MURMUR2_OF_ACME, "")


@pytest.mark.parametrize("example", DIRECTORY, ids=name_of)
async def test_an_example_of_the_directory_guide_publishes_an_event_that_is_admitted(
    kafka: Broker, example: Example
) -> None:
    record, printed = await published(kafka, example)
    verdict = DirectoryAdmission(RULES).admit(record.value, record.timestamp, record.headers)
    assert isinstance(verdict, DirectoryChange), verdict
    assert record.key == verdict.organization.encode() == b"acme"
    assert record.partition == MURMUR2_OF_ACME
    assert ("2 directory events acknowledged" in printed) == ("tidemark" in example.text)


def test_the_guide_shows_our_publisher_confluent_kafka_and_kcat() -> None:
    assert [example.language for example in USAGE] == ["python", "python", "python", "sh"]
    for name in ("UsagePublisher", "confluent_kafka", "kcat"):
        assert any(name in example.text for example in USAGE)


def test_the_directory_guide_shows_the_import_confluent_kafka_and_kcat() -> None:
    assert [example.language for example in DIRECTORY] == ["sh", "python", "sh"]
    for name, example in zip(("tidemark directory import", "confluent_kafka", "kcat"), DIRECTORY, strict=True):
        assert name in example.text
