"""Secrets from files: every secret setting `name` may be given as `name_file`, which names a file that holds it.

So it stands neither in a process's environment nor in a configuration file; Docker, Compose and Kubernetes mount it.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

FILE: Final = "_file"
_BYTES_MAX: Final = 65_536


def with_secrets(values: Mapping[str, Any], defaults: Mapping[str, Any], secrets: Iterable[str]) -> dict[str, Any]:
    """Return a group's values with those secrets read whose files are named.

    Args:
        defaults: what a secret is when it was not given.
        secrets: names of the secret settings.

    Raises:
        ValueError: a file cannot be used, or a secret is given twice; the text names the setting.
    """
    found = dict(values)
    for name in secrets:
        file = found.get(name + FILE)
        if file is None:
            continue
        if found.get(name) not in (None, defaults[name]):
            raise ValueError(f"{name} and {name + FILE} are both given: give one of them")
        found[name] = read_secret(name + FILE, Path(file))
    return found


def write_secret(file: Path, secret: str) -> Path:
    """Write a secret for its owner's eyes only, so that `read_secret` reads it back; return the file."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as content:
        content.write(secret + "\n")
    return file


def read_secret(setting: str, file: Path) -> str:
    """Return what a file holds, without the end of a line behind it, which editors leave there.

    Raises:
        ValueError: it cannot be read or holds nothing; the text names setting and file, never what is in it.
    """
    try:
        with file.open("rb") as content:
            raw = content.read(_BYTES_MAX + 1)
        secret = raw.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ValueError(
            f"{setting} names {file}, which cannot be read ({error.strerror}): put the secret there, readable for this"
            " user, or name another file"
        ) from error
    except UnicodeDecodeError:
        # Not `from` it: that holds the bytes.
        raise ValueError(f"{setting} names {file}, which is not UTF-8: put the secret there as text") from None
    if len(raw) > _BYTES_MAX:
        raise ValueError(f"{setting} names {file}, which is larger than {_BYTES_MAX} bytes: it is no secret")
    if not secret.strip():
        raise ValueError(f"{setting} names {file}, which is empty: put the secret there")
    return secret
