"""`make soak`: faults drawn from a seed over the whole system; see `python -m tests.faults.soak --help`."""

import argparse
import json
import logging
import signal
import sys
from pathlib import Path
from types import FrameType

from tests.faults.soak.report import figures, text
from tests.faults.soak.running import Soak, say
from tests.faults.soak.system import System
from tests.support import servers

RATE = 2_800


def main() -> int:
    options = _options()
    if missing := servers.missing_for_guarantees():
        say(f"the soak runs on real servers only: {missing}")
        return 1
    signal.signal(signal.SIGTERM, _leave)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that a broker is away is no news here
    with System(secured=options.secured) as system:
        soak = Soak(system, seed=options.seed, minutes=options.minutes, rate=options.rate)
        outcome = soak.run()
        if not outcome.right:
            say(system.deployment.logs())
    found = figures(outcome)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write("\n".join(text(found)) + "\n")
    return 0 if outcome.right else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.faults.soak", description="random faults, then everything is compared")
    parser.add_argument("--seed", type=int, default=1, help="of the load and of the faults")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--rate", type=float, default=RATE, help="records published a second")
    parser.add_argument("--secured", action="store_true", help="on three brokers, with TLS and users by SCRAM")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there too")
    return parser.parse_args()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that no server is left."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
