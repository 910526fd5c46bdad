"""Another P: a second deployment counts the same events beside the first, and the query API is switched over."""

from pathlib import Path

import pytest

from tests.faults.redis_states import await_progress, lasting_load
from tests.faults.verdict import assert_right
from tests.scaleout.deploying import ask, blocks_of, counts_in, deployed, expected_blocks
from tests.support.deployment import PARTITIONS
from tests.support.oracle import to_ms
from tests.support.ports import free_ports
from tests.support.redis_server import RedisServer
from tests.support.servers import Broker

pytestmark = [pytest.mark.scaleout, pytest.mark.guarantee, pytest.mark.timeout(400)]

MORE = 8
RATE = 300


def test_a_deployment_with_more_partitions_counts_the_same_and_takes_over_without_a_wrong_answer(
    kafka: Broker, tmp_path: Path
) -> None:
    ports = free_ports(2)
    with (
        RedisServer.start_new() as redis,
        RedisServer.start_new() as other,
        deployed(tmp_path / "old", kafka.bootstrap, redis.url, api__port=str(ports[0])) as old,
    ):
        of_old = old.start("ingest", "aggregator", "api")
        with lasting_load(old, 61, RATE) as publisher:
            await_progress(old, [-1] * PARTITIONS, 3)
            beside = {
                "topics__events": old.settings.topics.events,
                "topics__directory": old.settings.topics.directory,
                "topics__frames_partitions": str(MORE),
                "kafka__group_prefix": "tidemark-of-8",
                "api__port": str(ports[1]),
            }
            with deployed(tmp_path / "new", kafka.bootstrap, other.url, **beside) as new:
                new.start("ingest", "aggregator", "api")
                new.run("wait", "--caught-up", "--timeout", "60")
                # What the first one says now, the second one must say too once it has all that was published by now.
                last = ask(old, ports[0])
                new.run("wait", "--caught-up", "--timeout", "60")
                first = ask(new, ports[1])
                known, told = counts_in(blocks_of(last)), counts_in(blocks_of(first))
                assert known
                assert all(told[name] >= number for name, number in known.items())
                assert to_ms(first.json()["asOf"]) >= to_ms(last.json()["asOf"])
                publisher.finish()
                published = publisher.published
                assert_right(old, published)
                assert all(worker.stop() == 0 for worker in of_old)
                verdict = assert_right(new, published)
                assert (verdict.events, len(new.applied())) == (len(published), MORE)
                assert blocks_of(ask(new, ports[1])) == expected_blocks(new, published)
