"""Lay the program out as a distribution's package has it: `python3 packaging/install.py DESTDIR [OPTION ...]`.

One list of what goes where, for the .deb and the .rpm alike. It needs Python and PyYAML, no network and no pip.
The manual pages and completion scripts are taken from packaging/generated, where packaging/build.py puts them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
PACKAGING = SOURCE / "packaging"
GENERATED = PACKAGING / "generated"
PROGRAM = "usr/share/migprep"

#: Isolated (-I): neither the caller's environment nor the current folder decides what root runs.
LAUNCHER = f"""\
#!/usr/bin/python3 -I
import sys

sys.path.insert(0, "/{PROGRAM}")

from migprep.cli import main

sys.exit(main())
"""


def install(root: Path, zsh: str, units: str, onefile: Path | None = None) -> None:
    """Everything below `root`; `onefile` takes the place of package and launcher; folders of the site are made empty."""
    if onefile is None:
        package(root / PROGRAM / "migprep")
    _write(root / "usr/bin/migprep", onefile.read_bytes() if onefile else LAUNCHER.encode(), 0o755)
    for page in sorted(GENERATED.glob("*.[1-9]")):
        _copy(page, root / f"usr/share/man/man{page.suffix[1:]}" / page.name)
    _copy(GENERATED / "migprep.bash", root / "usr/share/bash-completion/completions/migprep")
    _copy(GENERATED / "migprep.zsh", root / zsh / "_migprep")
    _copy(GENERATED / "migprep.fish", root / "usr/share/fish/vendor_completions.d/migprep.fish")
    for unit in sorted((PACKAGING / "systemd").glob("*")):
        _copy(unit, root / units / unit.name)
    _copy(PACKAGING / "cron/migprep", root / "etc/cron.d/migprep")
    for folder in ("rules.d", "targets.d", "waivers.d"):
        (root / "etc/migprep" / folder).mkdir(parents=True, exist_ok=True)


def package(folder: Path) -> None:
    """The Python package, its links to rules and templates followed, with the compiled rules."""
    shutil.copytree(SOURCE / "agent/migprep", folder, ignore=shutil.ignore_patterns("__pycache__", "compiled.json"))
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    sys.path.insert(0, str(SOURCE / "agent"))
    from migprep import data

    _write(folder / data.COMPILED, data.compiled())


def _copy(source: Path, target: Path) -> None:
    _write(target, source.read_bytes())


def _write(target: Path, content: bytes, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.chmod(mode)


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    words.add_argument("root", type=Path, metavar="DESTDIR")
    words.add_argument("--zsh", default="usr/share/zsh/site-functions", help="where zsh looks for functions")
    words.add_argument("--units", default="usr/lib/systemd/system", help="where systemd's units go")
    words.add_argument("--onefile", type=Path, metavar="FILE", help="the one-file build instead of the Python package")
    given = words.parse_args()
    install(given.root, given.zsh, given.units, given.onefile)
