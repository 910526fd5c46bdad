"""Bad records among good ones: the good are counted, each bad one is kept as it came, with its reason."""

import gzip
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from tests.support.broken import mix
from tests.support.comparison import compare
from tests.support.oracle import Limits, Oracle
from tests.support.pipeline import running_pipeline
from tests.support.records import Record, produce, read_to_end
from tests.support.servers import Broker

pytestmark = [pytest.mark.e2e, pytest.mark.guarantee]

LINES = 30_000


@pytest.mark.timeout(180)
@pytest.mark.parametrize("age_limit", [True, False], ids=["simulated", "real"])
def test_each_broken_line_becomes_a_dead_letter_with_its_reason_and_the_rest_is_counted(
    age_limit: bool, request: pytest.FixtureRequest, tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    file, mixed_file = tmp_path / "good.ndjson", tmp_path / "mixed.ndjson"
    options = [] if age_limit else ["--max-event-age", "none"]
    with running_pipeline(tmp_path, kafka.bootstrap, redis_url, *options) as pipeline:
        if age_limit:
            pipeline.run("simulate", "--seed", "12", "--events", str(LINES), "--out", file)
            good = file.read_bytes().splitlines()
        else:
            shared_dir: Path = request.getfixturevalue("shared_dir")
            with gzip.open(shared_dir / "data" / "git-activity.ndjson.gz") as lines:
                good = [line.rstrip(b"\n") for line in islice(lines, LINES)]
        mixed = list(mix(good, seed=5, age_limit=age_limit))
        bad = [line for line in mixed if line.reason is not None]
        assert 1_200 < len(bad) < 1_800
        mixed_file.write_bytes(b"".join(line.value + b"\n" for line in mixed))
        produce(kafka.bootstrap, pipeline.topics["events"], [Record(None)])
        pipeline.publish(mixed_file)
        pipeline.catch_up()

        counted = Oracle(
            (line.value for line in mixed if line.reason is None), limits=Limits(max_age_ms=None, max_ahead_ms=0)
        )
        assert counted.bad == 0
        result = compare(pipeline.export(), counted.rows())
        assert result.equal, result
        letters = read_to_end(kafka.bootstrap, pipeline.topics["dead_letters"])
        found = Counter((letter.value, letter.header("tidemark-reason")) for letter in letters)
        expected = Counter((line.value, line.reason) for line in bad) + Counter([(None, "null_record")])
        assert found == expected
        coordinates = {
            tuple(letter.header(f"tidemark-{name}") for name in ("topic", "partition", "offset")) for letter in letters
        }
        assert len(coordinates) == len(letters)
        assert {topic for topic, _, _ in coordinates} == {pipeline.topics["events"]}
