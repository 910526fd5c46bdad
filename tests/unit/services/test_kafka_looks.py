import asyncio

import pytest

from services.clock import monotonic_s
from services.kafka import KafkaUnavailable
from services.kafka_looks import LogsLooker
from services.settings import KafkaSettings

pytestmark = pytest.mark.unit


async def test_a_broker_that_never_answers_is_given_up_in_time_at_every_look() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        looker = LogsLooker(KafkaSettings(bootstrap_servers=f"{host}:{port}"), ["usage.events"], [], limit_s=0.1)
        for _ in range(2):
            begun_s = monotonic_s()
            with pytest.raises(KafkaUnavailable, match=r"no answer within 0\.1 s"):
                await looker.look({})
            assert monotonic_s() - begun_s < 2
