"""`make release`: the files of a release, of what the last commit holds."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from deploy.release.lock_file import WrongLock
from deploy.release.making import SUMS, make, uncommitted
from deploy.release.versions import NotReady

ROOT: Final = Path(__file__).parents[2]
_NAMED_MAX: Final = 5


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make release",
        description="Builds wheel, sdist, SBOM (CycloneDX) and chart of the last commit; the same bytes each time.",
        epilog="example: make release ARGS='--out dist' && (cd dist && sha256sum --check SHA256SUMS)",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="directory, made if missing (dist)")
    parser.add_argument("--root", type=Path, default=ROOT, help="clone to make the release of (this one)")
    given = parser.parse_args()
    try:
        _write(given.root, given.out)
    except (NotReady, WrongLock) as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    return 0


def _write(root: Path, out: Path) -> None:
    if left_out := uncommitted(root):
        more = " …" if len(left_out) > _NAMED_MAX else ""
        sys.stderr.write(f"release: not committed, and so not in it: {', '.join(left_out[:_NAMED_MAX])}{more}\n")
    with tempfile.TemporaryDirectory(prefix="tidemark-release-") as scratch:
        files = make(root, Path(scratch))
    if out.is_dir() and (strange := sorted(each.name for each in out.iterdir() if each.name not in files)):
        raise NotReady(f"{out} holds {strange[0]}, which is not of this release: empty it, or give another --out")
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (out / name).write_bytes(content)
    sys.stdout.write(files[SUMS].decode())


if __name__ == "__main__":
    sys.exit(main())
