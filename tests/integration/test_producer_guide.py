import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from ingest.admission import Admission, Admitted
from ingest.verdicts import AdmissionRules
from services.kafka import make_admin, make_consumer
from services.settings import KafkaSettings
from tests.support.servers import REQUIRE_REAL, Broker

pytestmark = [pytest.mark.integration, pytest.mark.guarantee]

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "deploy" / "docs" / "producers.md"
PARTITIONS = 4
MURMUR2_OF_ACME = 0
"""Where Kafka's own partitioner puts the key `acme` of four partitions; librdkafka's default would say CRC32."""


def examples() -> Iterator[tuple[str, str]]:
    """Yield language and text of each fenced block of the guide."""
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE):
        yield match[1], match[2]


EXAMPLES = list(examples())


def run_example(language: str, text: str) -> None:
    program = [sys.executable, "-W", "error", "-c"] if language == "python" else ["sh", "-euc"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*program, text], env=environment, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize(("language", "text"), EXAMPLES, ids=[f"{at}-{kind}" for at, (kind, _) in enumerate(EXAMPLES)])
async def test_an_example_of_the_guide_publishes_an_event_that_is_admitted(
    kafka: Broker, language: str, text: str
) -> None:
    if "kcat" in text and shutil.which("kcat") is None and os.environ.get(REQUIRE_REAL) != "1":
        pytest.skip("kcat is not installed")
    topic = f"guide-{uuid.uuid4().hex[:8]}"
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap)
    admin = make_admin(settings)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    finally:
        await admin.close()
    assert "kafka:9092" in text
    run_example(language, text.replace("kafka:9092", kafka.bootstrap).replace("usage.events", topic))

    consumer = make_consumer(settings, topic)
    await consumer.start()
    try:
        record = await consumer.getone()
    finally:
        await consumer.stop()
    judge = Admission(
        AdmissionRules(ignore_unknown=False, max_bytes=65_536, max_age_ms=86_400_000, max_ahead_ms=300_000)
    )
    verdict = judge.admit(record.value, record.timestamp, record.headers)
    assert isinstance(verdict, Admitted), verdict
    assert record.key == verdict.event.organizationid.encode() == b"acme"
    assert record.partition == MURMUR2_OF_ACME


def test_the_guide_shows_our_publisher_confluent_kafka_and_kcat() -> None:
    assert [kind for kind, _ in EXAMPLES] == ["python", "python", "python", "sh"]
    for name in ("UsagePublisher", "confluent_kafka", "kcat"):
        assert any(name in text for _, text in EXAMPLES)
