import socket

import pytest

from services.clock import monotonic_s
from services.kafka import KafkaUnavailable
from services.kafka_looks import LogsLooker
from services.settings import KafkaSettings

pytestmark = pytest.mark.unit


async def test_a_broker_that_never_answers_is_given_up_in_time_at_every_look() -> None:
    # The kernel takes the connections; nobody reads what comes over them.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        looker = LogsLooker(KafkaSettings(bootstrap_servers=f"{host}:{port}"), ["usage.events"], [], limit_s=0.1)
        for _ in range(2):
            begun_s = monotonic_s()
            with pytest.raises(KafkaUnavailable, match=r"no answer within 0\.1 s"):
                await looker.look({})
            assert monotonic_s() - begun_s < 2
