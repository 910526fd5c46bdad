"""Makes the first run of a role hang amid its work, as a bug of ours or of a library's would; later runs do not.

`write_sabotage` writes a `sitecustomize.py`, which every Python reads whose PYTHONPATH names its directory.
"""

from pathlib import Path

_PROGRAM = """
import asyncio, sys, time
from pathlib import Path

done = Path(__file__).parent

def first_run_of(role):
    return sys.orig_argv[-3:-1] == ["run", role] and not (done / role).exists()

if first_run_of("aggregator"):
    from services.redis_counters import RedisCounterStore
    apply = RedisCounterStore.apply

    async def apply_and_block(self, partition, request):
        outcome = await apply(self, partition, request)
        if request.hashes:
            (done / "aggregator").touch()
            time.sleep(600)
        return outcome

    RedisCounterStore.apply = apply_and_block

if first_run_of("ingest"):
    from ingest.worker import IngestWorker
    read = IngestWorker._read

    has_read = False

    async def read_and_wait(self):
        global has_read
        if has_read:
            (done / "ingest").touch()
            await asyncio.Event().wait()
        packed = await read(self)
        has_read = packed.events > 0
        return packed

    IngestWorker._read = read_and_wait
"""


def write_sabotage(directory: Path) -> Path:
    """Write it into a directory; a file with a role's name appears there when its first run hangs.

    The aggregator's event loop is blocked between an apply and its acknowledgement; ingest waits for ever for its
    next poll, its loop turning.
    """
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(_PROGRAM)
    return directory
