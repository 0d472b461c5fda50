"""migprep as a user has it: a wheel, installed in a virtual environment of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]


def install(folder: Path) -> Path:
    """Build and install the wheel below `folder`; returns the environment's bin directory.

    What migprep depends on is taken from the interpreter that runs the benchmark, so that no network is needed.
    """
    isolation = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    _run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        *isolation,
        "--wheel-dir",
        str(folder),
        str(SOURCE),
    )
    (wheel,) = folder.glob("migprep-*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    packages = next((folder / "venv/lib").glob("python*")) / "site-packages"
    _run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--prefix",
        str(folder / "venv"),
        "--ignore-installed",
        str(wheel),
    )
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    _run(str(folder / "venv/bin/python"), "-m", "compileall", "-q", str(packages))
    command = folder / "venv/bin/migprep"
    words = command.read_text().split("\n")
    command.write_text("\n".join([f"#!{folder / 'venv/bin/python'}", *words[1:]]))
    return folder / "venv/bin"


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)  # noqa: S603
