"""The other traffic: lines of a file, sent at an even rate by a client that costs little.

`python -m tests.bench.latency.traffic BOOTSTRAP TOPIC FILE RATE` ends when the file does, with one line of JSON.
"""

import json
import sys
import time
from itertools import islice
from pathlib import Path

from confluent_kafka import Producer

from services.line_keys import organization_key

TICK_SECONDS = 0.01
FLUSH_SECONDS = 60


def send(bootstrap: str, topic: str, file: Path, rate: float) -> None:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    began, sent = time.monotonic(), 0
    with file.open("rb") as lines:
        while True:
            due = int((time.monotonic() - began) * rate) - sent
            some = list(islice(lines, due))
            if due and not some:
                break
            for line in some:
                producer.produce(topic, line.rstrip(b"\n"), organization_key(line))
            sent += len(some)
            producer.poll(0)
            time.sleep(TICK_SECONDS)
    seconds = time.monotonic() - began
    left = producer.flush(FLUSH_SECONDS)
    sys.stdout.write(json.dumps({"sent": sent - left, "perSecond": sent / seconds}) + "\n")


if __name__ == "__main__":
    send(sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))
