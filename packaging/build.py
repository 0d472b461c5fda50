"""Build every package, the same bytes for the same commit: `python packaging/build.py [KIND ...] [--output DIR]`.

What git tracks is copied to a folder of its own, each file dated like the commit, and built there by each kind's own tools:

    wheel sdist   hatchling (PyPI)
    deb           debhelper, dh-python, python3-yaml (Debian)
    rpm           rpmbuild (Debian's or Fedora's package rpm, rpm-build), python3-yaml
    onefile       zig, fetched by pip; dpkg-dev, make, binutils, xz-utils (Debian): its own interpreter, five minutes once
    static        dpkg-deb, rpmbuild: the one file as migprep-static for old package tools
    zipapp        pip, to fetch the pure-Python libraries that packaging/zipapp/requirements.txt pins by hash
    collection    python3-yaml: packaging/ansible as ansible-galaxy installs it
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parent.parent
#: A distribution's tools are used with its own Python, whatever else stands on the caller's PATH.
SYSTEM = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


class BuildError(Exception):
    """A package that cannot be built here; the sentence says what is missing."""


class Stage(NamedTuple):
    """A clean copy of the project, where to put what is built, and the time it is dated with."""

    folder: Path
    output: Path
    version: str
    epoch: int


def run(argv: list[str | Path], cwd: Path, **environment: str) -> str:
    """Run one tool to its end, its output told only when it fails. Raises BuildError."""
    where = {"PATH": os.environ["PATH"], "HOME": str(cwd), **environment}
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=where, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace",
        )  # fmt: skip
    except FileNotFoundError as error:
        raise BuildError(f"{error.filename} is not installed") from None
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, argv))} ended with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


# --- the clean copy ---


def stage(folder: Path, output: Path) -> Stage:
    """What git tracks, in `folder`, with the generated pages and completion scripts. Raises BuildError."""
    listed = run(["git", "ls-files", "-z"], SOURCE).split("\0")
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or run(["git", "log", "-1", "--format=%ct"], SOURCE))
    for name in filter(None, listed):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(SOURCE / name, target, follow_symlinks=False)
    _generate(folder, epoch)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            os.utime(path, (epoch, epoch))
    version = run([sys.executable, "-c", "import migprep; print(migprep.__version__)"], folder / "agent").strip()
    return Stage(folder, output, version, epoch)


def _generate(folder: Path, epoch: int) -> None:
    """Manual pages and completion scripts, made from the copy's own parser and rules."""
    made = folder / "packaging/generated"
    made.mkdir()
    script = "import sys, {0}; sys.stdout.write({0}.{1})"
    for page in ("migprep.1", "migprep-rules.7"):
        _write(made / page, folder, script.format("manual", f"page({page!r}, {epoch})"))
    for shell in ("bash", "zsh", "fish"):
        _write(made / f"migprep.{shell}", folder, script.format("completion", f"script({shell!r})"))


def _write(target: Path, folder: Path, code: str) -> None:
    target.write_text(run([sys.executable, "-B", "-c", code], folder / "packaging", PYTHONIOENCODING="utf-8"))


# --- the kinds ---


def wheel(made: Stage) -> None:
    """For pip and pipx."""
    _hatchling(made, "wheel")


def sdist(made: Stage) -> None:
    """The source, for pip and for distributors."""
    _hatchling(made, "sdist")


def _hatchling(made: Stage, kind: str) -> None:
    argv: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", made.output]
    run(argv, made.folder, SOURCE_DATE_EPOCH=str(made.epoch))


def deb(made: Stage) -> None:
    """For Debian 11 and newer, Ubuntu 22.04 and newer."""
    tree = _copy(made, f"migprep-{made.version}")
    shutil.copytree(tree / "packaging/deb", tree / "debian")
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(made.epoch))
    who = next(line for line in (tree / "debian/control").read_text().split("\n") if line.startswith("Maintainer: "))
    entry = f"migprep ({made.version}-1) unstable; urgency=medium\n\n  * What is new: /usr/share/doc/migprep/changelog.gz\n\n"
    (tree / "debian/changelog").write_text(f"{entry} -- {who[12:]}  {date}\n")
    run(["dpkg-buildpackage", "-b", "-us", "-uc"], tree, **SYSTEM, SOURCE_DATE_EPOCH=str(made.epoch))
    _keep(made, tree.parent.glob("*.deb"))


def rpm(made: Stage) -> None:
    """For RHEL 9, Fedora and their kin."""
    tree = _copy(made, f"migprep-{made.version}")
    top = tree.parent / "rpmbuild"
    (top / "SOURCES").mkdir(parents=True)
    tarball(tree, top / f"SOURCES/migprep-{made.version}.tar.gz", made.epoch)
    defines = {
        "_topdir": str(top), "_buildhost": "reproducible", "use_source_date_epoch_as_buildtime": "1",
        "clamp_mtime_to_source_date_epoch": "1", "given_version": made.version,
    }  # fmt: skip
    words: list[str | Path] = [one for pair in defines.items() for one in ("--define", " ".join(pair))]
    argv: list[str | Path] = ["rpmbuild", "-bb", *words, tree / "packaging/rpm/migprep.spec"]
    run(argv, tree, **SYSTEM, SOURCE_DATE_EPOCH=str(made.epoch))
    _keep(made, top.glob("RPMS/noarch/*.rpm"))


def tarball(tree: Path, target: Path, epoch: int) -> None:
    """`tree` as a tar.gz that depends on its content and `epoch` alone."""
    argv: list[str | Path] = [
        "tar", "--create", "--gzip", "--file", target, "--sort=name", f"--mtime=@{epoch}", "--owner=0", "--group=0",
        "--numeric-owner", tree.name,
    ]  # fmt: skip
    run(argv, tree.parent, GZIP="-9n")


def zipapp(made: Stage) -> None:
    """One file for any Python 3.9 or newer; what needs compiled modules is told as a gap."""
    tree = made.folder.parent / "zipapp"
    shutil.rmtree(tree, ignore_errors=True)
    _libraries(tree, made.folder / "packaging/zipapp/requirements.txt")
    code = "import sys; from pathlib import Path; import install; install.package(Path(sys.argv[1]))"
    run([sys.executable, "-B", "-c", code, tree / "migprep"], made.folder / "packaging")
    (tree / "__main__.py").write_text("from migprep.cli import main\n\nraise SystemExit(main())\n")
    target = made.output / f"migprep-{made.version}.pyz"
    moment = time.gmtime(made.epoch)[:6]
    with target.open("wb") as stream:
        stream.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted(path for path in tree.rglob("*") if path.is_file()):
                entry = zipfile.ZipInfo(str(path.relative_to(tree)), moment)
                entry.external_attr, entry.compress_type = 0o100644 << 16, zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
    target.chmod(0o755)


def _libraries(tree: Path, requirements: Path) -> None:
    """The Python sources of the pinned wheels, without what is compiled, with their licences."""
    tree.mkdir()
    with tempfile.TemporaryDirectory() as name:
        argv: list[str | Path] = [
            sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:",
            "--platform", "manylinux2014_x86_64", "--python-version", "3.9", "--implementation", "cp", "--abi", "cp39",
            "--dest", name, "--requirement", requirements,
        ]  # fmt: skip
        run(argv, requirements.parent, **{key: value for key, value in os.environ.items() if key.startswith("PIP_")})
        for one in sorted(Path(name).glob("*.whl")):
            with zipfile.ZipFile(one) as archive:
                kept = [
                    entry for entry in archive.namelist()
                    if entry.endswith(".py") or entry.endswith("/METADATA") or "license" in entry.lower()
                ]  # fmt: skip
                archive.extractall(tree, kept)


def onefile(made: Stage) -> None:
    """One executable for Linux on x86-64 of any age, with its own interpreter."""
    argv: list[str | Path] = [sys.executable, "-B", "packaging/onefile/build.py", "--output", one_file(made)]
    run(argv, made.folder, **os.environ, SOURCE_DATE_EPOCH=str(made.epoch))


def one_file(made: Stage) -> Path:
    """Where the one file is put."""
    return made.output / f"migprep-{made.version}-x86_64"


def static(made: Stage) -> None:
    """The one file as .deb and .rpm, without dependencies and readable to old package tools."""
    onefile(made)
    tree = made.folder.parent / "static"
    run([sys.executable, "-B", "packaging/install.py", tree, "--onefile", one_file(made)], made.folder, **os.environ)
    script = made.folder / "packaging/onefile/static.py"
    argv: list[str | Path] = [sys.executable, "-B", script, tree, made.version, made.output]
    run(argv, made.folder, **SYSTEM, SOURCE_DATE_EPOCH=str(made.epoch))


def collection(made: Stage) -> None:
    """For ansible-galaxy: the Ansible collection, with what its links lead to.

    The two lists are what `ansible-galaxy collection build` writes, which takes names in the order of the folder and
    dates them by the clock (https://docs.ansible.com/ansible/latest/dev_guide/collections_galaxy_meta.html).
    """
    import yaml

    tree = made.folder / "packaging/ansible"
    facts = {**yaml.safe_load((tree / "galaxy.yml").read_text()), "version": made.version}
    files: dict[str, bytes | None] = {
        str(path.relative_to(tree)): None if path.is_dir() else path.read_bytes()
        for path in sorted(tree.rglob("*")) if path.name != "galaxy.yml"
    }  # fmt: skip
    listed = _json({"files": [_entry(".", None), *(_entry(*one) for one in files.items())], "format": 1})
    about = {"dependencies": {}, "documentation": None, "homepage": None, "issues": None, "license_file": None, **facts}
    about["description"] = " ".join(about["description"].split())
    manifest = _json({"collection_info": about, "file_manifest_file": _entry("FILES.json", listed), "format": 1})
    name = f"{facts['namespace']}-{facts['name']}-{made.version}.tar.gz"
    with (
        (made.output / name).open("wb") as stream,
        gzip.GzipFile("", "wb", 9, stream, mtime=made.epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path, content in {"MANIFEST.json": manifest, "FILES.json": listed, **files}.items():
            entry = tarfile.TarInfo(path)
            entry.mtime, entry.mode = made.epoch, 0o755 if content is None else 0o644
            entry.type, entry.size = (tarfile.DIRTYPE, 0) if content is None else (tarfile.REGTYPE, len(content))
            archive.addfile(entry, io.BytesIO(content or b""))


def _entry(path: str, content: bytes | None) -> dict[str, object]:
    """One line of a collection's lists; a folder has no sum."""
    digest = None if content is None else hashlib.sha256(content).hexdigest()
    words = {"chksum_type": digest and "sha256", "chksum_sha256": digest, "format": 1}
    return {"name": path, "ftype": "dir" if content is None else "file", **words}


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()


def _copy(made: Stage, name: str) -> Path:
    """A copy of the clean copy, for a tool that writes into its folder or wants a certain name."""
    tree = Path(tempfile.mkdtemp(dir=made.folder.parent)) / name
    shutil.copytree(made.folder, tree, symlinks=True)
    return tree


def _keep(made: Stage, packages: object) -> None:
    for path in packages:  # type: ignore[attr-defined]
        shutil.copyfile(path, made.output / path.name)


KINDS: dict[str, Callable[[Stage], None]] = {
    one.__name__: one for one in (wheel, sdist, deb, rpm, zipapp, onefile, static, collection)
}  # fmt: skip


def main() -> int:
    """Build what the command line names, or all; returns 1 when one could not be built."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )  # fmt: skip
    words.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)} (default: all)")
    words.add_argument("--output", type=Path, default=SOURCE / "dist", help="where to put them (default: dist)")
    given = words.parse_args()
    unknown = [one for one in given.kinds if one not in KINDS]
    if unknown:
        words.error(f"there is no kind {unknown[0]!r}; there are {', '.join(KINDS)}")
    output = given.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    code = 0
    with tempfile.TemporaryDirectory(prefix="migprep-build-") as name:
        try:
            made = stage(Path(name) / "source", output)
            for kind in given.kinds or KINDS:
                KINDS[kind](made)
        except BuildError as error:
            print(error, file=sys.stderr)
            code = 1
    for path in sorted(output.iterdir()):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.name)
    return code


if __name__ == "__main__":
    sys.exit(main())
