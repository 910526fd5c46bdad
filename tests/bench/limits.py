"""`make bench-limits`: what reading and decoding alone cost, so that figures of two machines can be compared."""

import argparse
import asyncio
import json
import sys
import time
from typing import Final

from aiokafka import AIOKafkaConsumer
from rich.console import Console
from rich.table import Table

from services import topics
from services.clock import now_ms
from services.events import received_decoder
from services.settings import Settings
from tests.bench import machine
from tests.bench.workload import Workload, publish_all
from tests.support import servers

RUNS: Final = 2
MOST_RECORDS: Final = 20_000


def main() -> int:
    options = _options()
    if missing := servers.missing_for_guarantees():
        _say(f"limits are measured on a real broker only: {missing}")
        return 1
    broker = servers.start_broker()
    try:
        settings = Settings(kafka={"bootstrap_servers": broker.bootstrap})
        workload = Workload(events=options.events, seed=options.seed, end_ms=now_ms() // 1000 * 1000)
        asyncio.run(topics.create_missing(settings))
        asyncio.run(publish_all(settings, settings.topics.events, workload.lines()))
        found = {
            name: min(asyncio.run(_read(settings, options.events, decoding=decoding)) for _ in range(RUNS))
            for name, decoding in (("aiokafka getmany", False), ("with the JSON decoded", True))
        }
    finally:
        broker.close()
    if options.json:
        sys.stdout.write(json.dumps({"cpuMicrosecondsPerEvent": found, "machine": machine.describe()}) + "\n")
    else:
        _print(found)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench.limits", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


async def _read(settings: Settings, events: int, *, decoding: bool) -> float:
    """Read the topic from its start and return the microseconds of processor time an event."""
    decode = received_decoder("refuse").decode
    consumer = AIOKafkaConsumer(
        settings.topics.events,
        bootstrap_servers=settings.kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    try:
        began, left = time.process_time(), events
        while left > 0:
            for batch in (await consumer.getmany(timeout_ms=500, max_records=MOST_RECORDS)).values():
                left -= len(batch)
                if decoding:
                    for record in batch:
                        decode(record.value)
        return round((time.process_time() - began) * 1e6 / events, 2)
    finally:
        await consumer.stop()


def _print(found: dict[str, float]) -> None:
    table = Table(title="Microseconds of processor time an event")
    table.add_column("what")
    table.add_column("µs", justify="right")
    for name, value in found.items():
        table.add_row(name, str(value))
    Console(width=None if Console().is_terminal else 120, highlight=False).print(table)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
