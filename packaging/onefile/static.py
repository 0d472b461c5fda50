"""migprep-static as .deb and .rpm, from a tree that holds it as installed: `static.py TREE VERSION OUTPUT`.

Called by packaging/build.py with SOURCE_DATE_EPOCH set. What it writes can be read by tools of 2009: payloads are gzip, sums
are MD5, and nothing is required of the system.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
#: The nightly prelink of RHEL 6 rewrites executables; this one carries more than it knows of.
PRELINK = "-b /usr/bin/migprep\n"
CONTROL = """\
Package: migprep-static
Version: {version}-1
Architecture: amd64
Maintainer: migprep maintainers <maintainers@migprep.example>
Installed-Size: {size}
Conflicts: migprep
Replaces: migprep
Provides: migprep
Section: admin
Priority: optional
Description: tells whether this machine will come up on other hardware (one file)
 migprep runs inside a Linux machine before it is moved to other hardware and
 says, for each target, what will break there and where it stands; it mends what
 is safe and takes every byte back.
 .
 This package holds it as one executable file with its own interpreter, for
 machines whose Python is too old or missing: Linux 2.6.32 and glibc 2.11 or
 newer on x86-64. It depends on nothing.
"""


def main() -> int:
    """Build both."""
    tree, version, output = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    complete(tree)
    for path in [tree, *tree.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        os.utime(path, (epoch, epoch))
    with tempfile.TemporaryDirectory() as name:
        rpm(tree, version, output, Path(name))
        deb(tree, version, output)
    return 0


def complete(tree: Path) -> None:
    """What both packages have besides: compressed manual pages, documents, and a word to prelink."""
    for page in sorted(tree.glob("usr/share/man/man*/*.[1-9]")):
        page.with_name(f"{page.name}.gz").write_bytes(gzip.compress(page.read_bytes(), 9, mtime=0))
        page.unlink()
    prelink = tree / "etc/prelink.conf.d/migprep.conf"
    prelink.parent.mkdir(parents=True)
    prelink.write_text(PRELINK)
    documents = tree / "usr/share/doc/migprep-static"
    documents.mkdir(parents=True)
    shutil.copy(SOURCE / "LICENSE", documents / "copyright")
    (documents / "changelog.gz").write_bytes(gzip.compress((SOURCE / "CHANGELOG.md").read_bytes(), 9, mtime=0))
    for folder in ("usr/share/fish", "usr/share/zsh"):  # shells that machines of that age have not
        shutil.rmtree(tree / folder, ignore_errors=True)


def rpm(tree: Path, version: str, output: Path, work: Path) -> None:
    """With rpmbuild and static.spec."""
    defines = {
        "_topdir": work, "_buildhost": "reproducible", "use_source_date_epoch_as_buildtime": "1",
        "clamp_mtime_to_source_date_epoch": "1", "given_version": version, "tree": tree,
    }  # fmt: skip
    words = [word for key, value in defines.items() for word in ("--define", f"{key} {value}")]
    subprocess.run(["rpmbuild", "-bb", "--target", "x86_64", *words, HERE / "static.spec"], check=True)
    for path in work.glob("RPMS/x86_64/*.rpm"):
        shutil.copyfile(path, output / path.name)


def deb(tree: Path, version: str, output: Path) -> None:
    """With dpkg-deb alone."""
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    control = tree / "DEBIAN"
    control.mkdir(mode=0o755)
    size = sum(path.stat().st_size for path in files) // 1024
    (control / "control").write_text(CONTROL.format(version=version, size=size))
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files]  # noqa: S324
    (control / "md5sums").write_text("".join(sums))
    (control / "conffiles").write_text("/etc/cron.d/migprep\n/etc/prelink.conf.d/migprep.conf\n")
    target = output / f"migprep-static_{version}-1_amd64.deb"
    subprocess.run(["dpkg-deb", "-Zgzip", "-z9", "--root-owner-group", "--build", tree, target], check=True)


if __name__ == "__main__":
    raise SystemExit(main())
