"""The Faust worker: a thin shell that hands every frame to the owner of its partition, in order.

Nothing escapes the agent, it runs once a worker, and there are no tables: what Faust acknowledges or commits decides
nothing (ADR 0004).
"""

import asyncio
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import faust
from faust.streams import Stream
from faust.types import TP, EventT, StreamT
from yarl import URL

from aggregator.faust_transport import PositioningTransport
from aggregator.owner import Owner
from services.durations import write_duration
from services.identifiers import FrameOffset, PartitionId
from services.kafka import client_name, ssl_context
from services.kafka_connection import notice_hang_ups
from services.settings import KafkaSettings, Settings
from services.settings_loading import WrongSettings
from services.trace_context import Headers, read_traces


def check_times(settings: Settings) -> None:
    """Check that a request to Kafka may take as long as a session: joining the group does.

    Raises:
        WrongSettings: it may not; Faust would end with a traceback.
    """
    request_s, session_s = settings.kafka.request_timeout, settings.aggregator.session_timeout
    if request_s < session_s:
        raise WrongSettings(
            f"TIDEMARK_KAFKA__REQUEST_TIMEOUT ({write_duration(request_s)}) must not lie below"
            f" TIDEMARK_AGGREGATOR__SESSION_TIMEOUT ({write_duration(session_s)})"
        )


def build_app(settings: Settings, owner: Owner) -> faust.App:
    """Return a Faust app, not started, that feeds `owner` from the frames topic."""
    notice_hang_ups()
    kafka = settings.kafka
    brokers = [URL(f"kafka://{address.strip()}") for address in kafka.bootstrap_servers.split(",")]
    app = faust.App(
        kafka.aggregator_group,
        broker=brokers,
        # By this name `tidemark lag` says who reads a partition.
        broker_client_id=client_name(kafka.aggregator_group),
        broker_credentials=_credentials(kafka),
        loop=asyncio.get_running_loop(),
        autodiscover=False,
        # Faust makes this directory, and keeps nothing in it without tables.
        datadir=Path(tempfile.gettempdir()) / "tidemark-aggregator",
        value_serializer="raw",
        key_serializer="raw",
        processing_guarantee="at_least_once",
        table_standby_replicas=0,
        topic_disable_leader=True,
        topic_allow_declare=False,
        topic_partitions=settings.topics.frames_partitions,
        stream_wait_empty=False,
        stream_buffer_maxsize=32,
        agent_supervisor="mode.CrashingSupervisor",
        # For lag displays of Kafka's own alone: `cur` in Redis is what counts.
        broker_commit_interval=3.0,
        broker_session_timeout=settings.aggregator.session_timeout,
        broker_heartbeat_interval=min(3.0, settings.aggregator.session_timeout / 3),
        broker_rebalance_timeout=25.0,
        broker_request_timeout=kafka.request_timeout,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 * 1024 * 1024,
        worker_redirect_stdouts=False,
        web_enabled=False,
    )

    async def positions(partitions: Iterable[TP]) -> Mapping[TP, int]:
        wanted = {PartitionId(tp.partition): tp for tp in partitions if tp.topic == settings.topics.frames}
        begins = await owner.assign(wanted)
        return {wanted[partition]: offset for partition, offset in begins.items()}

    async def joined(joining: Any, /, *_: Any, signal: Any, **__: Any) -> None:  # noqa: ARG001  (how Faust calls it)
        """Tell the owner that nothing was assigned: positions are asked for only where something was."""
        if joining.unassigned:
            owner.assigned_nothing()

    app.on_rebalance_complete.connect(joined)
    app.transport = PositioningTransport(brokers, app, positions=positions, loop=app.loop)
    frames = app.topic(settings.topics.frames, value_serializer="raw", key_serializer="raw")

    async def feed(stream: StreamT[bytes]) -> None:
        async for event in cast(Stream[bytes], stream).noack().events():
            message = event.message
            await owner.offer(
                PartitionId(message.partition),
                FrameOffset(message.offset),
                message.value,
                partial(_ack, event),
                read_traces(cast(Headers, message.headers)),
            )

    app.agent(frames, name="aggregator.feed", concurrency=1)(feed)
    return app


def _ack(event: EventT[bytes]) -> None:
    event.ack()


def _credentials(kafka: KafkaSettings) -> faust.auth.Credentials | None:
    """Return how Faust's clients prove who they are, None for a plain connection."""
    context = ssl_context(kafka) if kafka.security_protocol.endswith("SSL") else None
    if kafka.security_protocol.startswith("SASL"):
        password = kafka.sasl_password
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=password.get_secret_value() if password else None,
            ssl_context=context,
            mechanism=kafka.sasl_mechanism,
        )
    return faust.SSLCredentials(context) if context else None
