"""`make mutations`: exit code 0 when each mutation was caught by each test named for it, else 1."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.mutations import report
from tests.mutations.running import Runner, UnbrokenTreeFails
from tests.mutations.table import MUTATIONS, PATCHES, Mutation

ROOT = Path(__file__).parent.parent.parent


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, _leave)
    try:
        outcomes = Runner(ROOT, PATCHES, _say).run(options.only or MUTATIONS)
    except UnbrokenTreeFails as error:
        _say(f"\n{error}\n")
        return 1
    if options.json:
        sys.stdout.write(report.as_json(outcomes) + "\n")
    elif options.markdown:
        sys.stdout.write(report.as_markdown(outcomes) + "\n")
    else:
        report.print_table(outcomes)
    return 0 if all(outcome.caught for outcome in outcomes) else 1


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.mutations", description="break each guarantee, see its tests fail")
    parser.add_argument("--only", type=_named, action="append", metavar="NAME", help="its number is enough; repeatable")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="the table of deploy/docs/proof.md")
    return parser.parse_args(arguments)


def _named(name: str) -> Mutation:
    found = [mutation for mutation in MUTATIONS if name in (mutation.name, mutation.name[:2])]
    if not found:
        raise argparse.ArgumentTypeError(f"there is {', '.join(mutation.name for mutation in MUTATIONS)}")
    return found[0]


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End as at Ctrl-C, so that the tests stop the servers that they started."""
    raise SystemExit(1)


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
