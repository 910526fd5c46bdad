"""Which command an ACL user lacks: of a command in a script, Redis 6.2 and 7.0 name only the line."""

import re
from typing import Final

_FORBIDDEN: Final = re.compile(r"NOPERM|ACL failure|can't run this command|can't access at least one of the keys")
_LINE: Final = re.compile(r"user_script:(\d+)")
_COMMAND: Final = re.compile(r"\('([A-Z]+)',")


def is_forbidden(answer: str) -> bool:
    """Return whether Redis says that the user may not do it: of a command itself, or of one in a script."""
    return _FORBIDDEN.search(answer) is not None


def lacking(script: str, text: str, answer: str) -> str:
    """Return in words what the user lacks for a script.

    Args:
        script: its name.
        text: its source.
        answer: what Redis said of it.
    """
    lines = text.splitlines()
    number = int(found[1]) if (found := _LINE.search(answer)) else 0
    commands = _COMMAND.findall(lines[number - 1]) if 0 < number <= len(lines) else []
    commands = commands or sorted(set(_COMMAND.findall(text)))
    return f"the script {script} may not run {' or '.join(commands)} ({answer.rstrip('.')})"
