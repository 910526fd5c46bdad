"""`make bench-api`; see `python -m tests.bench.api --help`."""

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import redis
import uvloop

from services.clock import now_ms
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import RedisSettings, Settings
from tests.bench import machine
from tests.bench.api.exchanges import Asking, ask_all
from tests.bench.api.filling import Filled, fill
from tests.bench.api.measuring import at_rate, side_by_side
from tests.bench.api.operations import DAILY_30, operations
from tests.bench.api.population import DAYS, ORGANIZATIONS, TEAMS, USERS, asked_at
from tests.bench.api.report import HalfRate, Measured, print_tables, verdicts
from tests.bench.api.servers_asked import Server, running_api, running_bare
from tests.support import servers

FILL_SECONDS = 600.0


def main() -> int:
    options = _options()
    now = now_ms()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidemark-bench-")))
        url = options.redis or _filled_redis(stack, now, options.seed)
        settings = Settings(redis=RedisSettings(url=url))
        api = stack.enter_context(running_api(settings, directory, redis_pid=_pid_of(url)))
        rows = [each for each in operations(asked_at(now)) if options.only in each.name]
        askings = uvloop.run(ask_all(rows, api, settings))
        bare = stack.enter_context(running_bare([each.recorded for each in askings], directory))
        # Millions of small objects without a cycle among them: to look for cycles would be measured with the answers.
        gc.collect()
        gc.disable()
        measured, half_rate = uvloop.run(_measure(options, askings, api, bare))
    kept = list(verdicts(measured, half_rate))
    figures = {
        "connections": options.connections,
        "operations": [each.figures() for each in measured],
        "atHalfRate": None if half_rate is None else half_rate.figures(),
        "verdicts": [{"kept": holds, "sentence": sentence} for holds, sentence in kept],
        "machine": machine.describe() | {"redis": servers.find_redis().name},
    }
    print_tables(figures)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if all(holds for holds, _ in kept) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench.api", description="latency of the query API's operations")
    parser.add_argument("--connections", type=int, default=8, help="kept busy at once")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each operation, and of its bare route")
    parser.add_argument("--half-rate-seconds", type=float, default=20.0, help="of the run on a schedule")
    parser.add_argument("--only", default="", help="operations whose name holds this text")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--redis", metavar="URL", help="one that a run of this day has filled; else a new one is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def _filled_redis(stack: ExitStack, now: int, seed: int) -> str:
    server = servers.start_redis()
    stack.callback(server.close)
    began = time.monotonic()
    filled = uvloop.run(_fill(Settings(redis=RedisSettings(url=server.url, timeout=FILL_SECONDS)), now, seed))
    _say(
        f"filled in {time.monotonic() - began:.0f} s: {ORGANIZATIONS} organizations, {TEAMS} teams, {USERS:,} users,"
        f" {DAYS} days, {filled.events:,} usage events, {filled.directory_events:,} directory events"
    )
    return server.url


def _pid_of(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


async def _fill(settings: Settings, now: int, seed: int) -> Filled:
    client = connect(settings.redis)
    try:
        return await fill(RedisCounterStore(client, settings.topics.frames_partitions), settings, now, seed)
    finally:
        await client.aclose()


async def _measure(
    options: argparse.Namespace, askings: Sequence[Asking], api: Server, bare: Server
) -> tuple[list[Measured], HalfRate | None]:
    measured, half_rate = [], None
    for each in askings:
        of_api, of_bare = await side_by_side(
            each.of_api(api), each.of_bare(bare), connections=options.connections, seconds=options.seconds
        )
        measured.append(Measured(operation=each.operation, bytes=len(each.answers[0].body), api=of_api, bare=of_bare))
        _say(f"{each.operation.name}: {measured[-1].ratio:.2f} times the bare route's median")
        if each.operation.name == DAILY_30:
            rate, seconds = of_api.per_second / 2, options.half_rate_seconds
            times = await at_rate(each.of_api(api), per_second=rate, seconds=seconds, seed=options.seed)
            half_rate = HalfRate(maximum_per_second=of_api.per_second, times=times)
    return measured, half_rate


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
