"""The page `deploy/docs/reason-codes.md`, made from the reasons of dead letters.

`python -m services.reasons_page > deploy/docs/reason-codes.md` brings it up to date; a test fails when it is not.
"""

import sys

from services.dead_letter_remedies import REMEDIES
from services.dead_letters import MEANINGS


def reasons_page() -> str:
    """Return the page as Markdown."""
    rows = "\n".join(f"| `{reason}` | {meaning} | {REMEDIES[reason]} |" for reason, meaning in MEANINGS.items())
    return f"""# Reason codes of dead letters

Made from `services/dead_letters.py` and `services/dead_letter_remedies.py` by `python -m services.reasons_page`; do not
edit by hand.

A record of `usage.events` or `usage.directory` that breaks the contract goes to `usage.dead-letters`: its value, key
and headers unchanged, with headers of ours added, `tidemark-reason` and, where a single field is at fault,
`tidemark-field` (its path, such as `data.lines`) among them. `tidemark dead-letters list` shows both, and `show` marks
the field in its place. The first fault is the one named. How to send a record again, corrected or not:
[operators.md](operators.md#dead-letters). A header name that is not UTF-8, against Kafka's protocol, is kept with its
wrong bytes written as `\\xNN`.

| reason | meaning | what mends it |
| --- | --- | --- |
{rows}

`too_old` is for usage events alone: a directory event may be as late as it likes.
"""


if __name__ == "__main__":
    sys.stdout.write(reasons_page())
