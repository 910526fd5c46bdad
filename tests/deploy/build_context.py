"""The build context: what `.dockerignore` leaves of a directory, by names, `*` and `**/`; the last that fits wins."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath


def patterns(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def is_in_context(path: PurePosixPath, ignore: Sequence[str]) -> bool:
    """Return whether a file belongs to the context: a pattern speaks of what it names and of all beneath it."""
    kept = True
    for pattern in ignore:
        if any(_matches(each, pattern.removeprefix("!")) for each in (path, *path.parents[:-1])):
            kept = pattern.startswith("!")
    return kept


def files(root: Path, ignore: Sequence[str]) -> Iterator[PurePosixPath]:
    """Yield the files of the context, relative to it."""
    named = {pattern.removeprefix("!").partition("/")[0] for pattern in ignore if pattern.startswith("!")}
    tops = [root / name for name in sorted(named)] if "*" in ignore else [root]
    for top in tops:
        for path in sorted([top, *top.rglob("*")]):
            relative = PurePosixPath(path.relative_to(root).as_posix())
            if path.is_file() and is_in_context(relative, ignore):
                yield relative


def _matches(path: PurePosixPath, pattern: str) -> bool:
    if pattern.startswith("**/"):
        tail = pattern.removeprefix("**/")
        return fnmatchcase(path.name, tail)
    wanted = PurePosixPath(pattern).parts
    return len(wanted) == len(path.parts) and all(map(fnmatchcase, path.parts, wanted))
