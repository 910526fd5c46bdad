"""The query API as a process: `python -m query_api`, `tidemark run api`."""

import asyncio
import logging
import sys
from contextlib import AsyncExitStack

import structlog

from query_api.app import create_app
from query_api.operators import by_ops_token, ops_handlers
from query_api.serving import STORE, keep_looking_at_store, listen, look_at_store, serve
from query_api.tiers import Tiers, load_tiers
from query_api.verifying import TokenVerifier, token_verifier
from services.health import HealthServer, keep_beating
from services.lag_metrics import LagMetrics
from services.lag_watch import LagWatch, keep_looking
from services.ledger_gauges import LedgerGauges
from services.ledger_reading import keep_reading_ledger
from services.lifecycle import Exit, run, stop_on_signals
from services.ops_port import OPS_PREFIX, OpsPort
from services.redis_api_keys import RedisApiKeyStore
from services.redis_calls import redis_calls
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.redis_rates import redis_rate_storage
from services.settings import Settings
from services.settings_loading import WrongSettings, load_settings
from services.telemetry import Telemetry, configure_logs
from services.watchdog import under_watch

ROLE = "api"


def main() -> int:
    """Run the API until a signal, and return the exit code (`services.lifecycle.Exit`)."""
    try:
        settings = load_settings()
        tiers = load_tiers(settings.api.tiers_file)
        verifier = token_verifier(settings.api)
    except WrongSettings as error:
        sys.stderr.write(f"{error}\n")
        return Exit.WRONG_SETTINGS
    configure_logs(ROLE)
    # The client logs each connection that is refused; that Kafka is away is said once, when it is (`lag_unknown`).
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return run(lambda: _serve_until_signalled(settings, tiers, verifier))


async def _serve_until_signalled(settings: Settings, tiers: Tiers, verifier: TokenVerifier) -> int:
    stop = await stop_on_signals()
    api, partitions = settings.api, settings.topics.frames_partitions
    async with AsyncExitStack() as stack:
        client = connect(settings.redis, timeout_s=api.redis_timeout, connections=api.redis_connections)
        stack.push_async_callback(client.aclose)
        reads = redis_calls(settings.redis, timeout_s=api.redis_timeout, connections=api.redis_connections)
        stack.push_async_callback(reads.aclose)
        store = RedisCounterStore(client, partitions, reads.call)
        # Its own connection: that all others are busy must not look as if Redis were away.
        watch = connect(settings.redis, timeout_s=api.redis_timeout, connections=1)
        stack.push_async_callback(watch.aclose)
        watched = RedisCounterStore(watch, partitions)
        looks = connect(settings.redis, timeout_s=api.redis_timeout, connections=1)
        stack.push_async_callback(looks.aclose)
        telemetry = Telemetry(ROLE)
        health = HealthServer(telemetry, api.health_host, api.health_port, api.address_file)
        health.not_ready(STORE, "not asked yet")
        lag = LagWatch(settings, RedisCounterStore(looks, partitions))
        stack.push_async_callback(lag.close)
        health.mount(OPS_PREFIX, OpsPort(ops_handlers(lag, settings), by_ops_token(verifier)).page)
        bound = stack.enter_context(listen(api.host, api.port))
        health.start()
        stack.callback(health.stop)
        # Refuses here what no waiting mends; a store that is away only keeps the API from being ready.
        await look_at_store(watched, partitions, health, range(partitions))
        await verifier.warm_up()
        host, port = bound.getsockname()[:2]
        structlog.get_logger().info("listening", host=host, port=port, health=health.address)
        stack.enter_context(under_watch(settings.watchdog, health))
        async with asyncio.TaskGroup() as beside:
            watches = (
                keep_beating(health),
                keep_looking_at_store(watched, partitions, health),
                keep_looking(lag, api.ops_interval, LagMetrics(telemetry, lag.rows).seen),
                keep_reading_ledger(settings, api.ledger_interval, LedgerGauges(telemetry).show),
            )
            tasks = [beside.create_task(watch) for watch in watches]
            app = create_app(
                store,
                settings,
                telemetry,
                tiers=tiers,
                rate_storage=redis_rate_storage(client),
                verifier=verifier,
                api_keys=RedisApiKeyStore(client),
            )
            await serve(app, bound, stop)
            for task in tasks:
                task.cancel()
    return Exit.ORDERED_STOP


if __name__ == "__main__":
    sys.exit(main())
