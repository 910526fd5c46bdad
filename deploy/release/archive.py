"""A tar file whose bytes depend on the files' names, contents and nothing else: no owner, no mode of this machine."""

import gzip
import io
import tarfile
from pathlib import Path


def archive_of(directory: Path, name: str, made_s: int) -> bytes:
    """Return a gzipped tar of a directory's files under `name/`, as of a time in UNIX seconds."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=made_s) as zipped,
        tarfile.open(mode="w", fileobj=zipped, format=tarfile.USTAR_FORMAT) as tar,
    ):
        for path in sorted(each for each in directory.rglob("*") if each.is_file()):
            _add(tar, path, f"{name}/{path.relative_to(directory).as_posix()}", made_s)
    return packed.getvalue()


def _add(tar: tarfile.TarFile, path: Path, name: str, made_s: int) -> None:
    entry = tarfile.TarInfo(name)
    content = path.read_bytes()
    entry.size, entry.mtime = len(content), made_s
    entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
    tar.addfile(entry, io.BytesIO(content))
