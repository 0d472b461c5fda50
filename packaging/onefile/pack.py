"""The zip inside the one file: byte code alone, nothing compressed, the same bytes for the same input.

Called by build.py with the interpreter that will read it: ARCHIVE, its library, the fetched libraries, the checkout, a line
that says how it was built.
"""

from __future__ import annotations

import importlib.util
import marshal
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

#: Parts of the standard library that no import of ours reaches.
STANDARD_LEFT_OUT = frozenset(
    "test idlelib tkinter turtledemo turtle.py ensurepip venv pydoc_data pydoc.py curses dbm sqlite3 asyncio concurrent "
    "multiprocessing unittest doctest.py pdb.py wsgiref xmlrpc http smtplib.py imaplib.py ftplib.py poplib.py mailbox.py "
    "webbrowser.py antigravity.py this.py _pyrepl __phello__ _pydecimal.py _pyio.py cProfile.py profile.py pstats.py "
    "trace.py zoneinfo site-packages _aix_support.py _apple_support.py _android_support.py _ios_support.py "
    "_osx_support.py".split()
)
#: What the wheels hold that is not for run time.
PURE = ("distro", "jinja2", "markupsafe", "pyudev", "pyyaml")


def main() -> int:
    """Write the archive."""
    archive, library, wheels, checkout, built = sys.argv[1:]
    entries = dict(standard(Path(library)))
    entries["licences/cpython"] = Path(library).with_name("LICENSE").read_bytes()
    for name in PURE:
        entries.update(package(Path(wheels, name)))
    entries.update(package(next(Path(wheels, "psutil").iterdir()), "psutil"))
    entries.update(product(Path(checkout), built))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as out:
        for name in sorted(entries):
            out.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), entries[name])
    return 0


def compiled(path: Path, name: str) -> tuple[str, bytes]:
    """A module as byte code that is never checked against a source (PEP 552), under a path that is the same everywhere."""
    code = compile(path.read_bytes(), name, "exec", dont_inherit=True, optimize=1)
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
    return f"{name}c", head + marshal.dumps(code)


def standard(library: Path) -> Iterator[tuple[str, bytes]]:
    """The standard library, as far as it is of use here."""
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).parts
        if not STANDARD_LEFT_OUT.intersection(parts):
            yield compiled(path, "/".join(parts))


def package(folder: Path, only: str = "") -> Iterator[tuple[str, bytes]]:
    """The pure-Python modules of one unpacked wheel or sdist, and its licence."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if only and not name.startswith(f"{only}/"):
            if name in ("LICENSE", "LICENSE.txt"):
                yield f"licences/{only}", path.read_bytes()
            continue
        if "/tests/" in name or not path.is_file():
            continue
        if name.endswith(".py"):
            yield compiled(path, name)
        elif "LICENSE" in path.name or path.name == "COPYING":
            yield f"licences/{folder.name}", path.read_bytes()


def product(checkout: Path, built: str) -> Iterator[tuple[str, bytes]]:
    """migprep itself, its rules and targets compiled, its templates and schema."""
    source = checkout / "agent/migprep"
    sys.path.insert(0, str(checkout / "agent"))
    for path in sorted(source.rglob("*")):
        name = path.relative_to(checkout / "agent").as_posix()
        if path.suffix == ".py":
            yield compiled(path, name)
        elif path.is_file() and "__pycache__" not in path.parts and path.name != "compiled.json":
            yield name, path.read_bytes()
    for path in sorted((checkout / "templates").rglob("*.j2")):
        yield f"migprep/templates/{path.relative_to(checkout / 'templates').as_posix()}", path.read_bytes()
    yield "migprep/compiled.json", rules(checkout)
    yield "migprep/built", built.encode()
    yield "licences/migprep", (checkout / "LICENSE").read_bytes()


def rules(checkout: Path) -> bytes:
    """The rule and target files as the JSON that every package carries (needs a YAML parser that can be imported here)."""
    sys.path.append(str(Path(sys.argv[3], "pyyaml")))
    from migprep import data

    return data.compiled()


if __name__ == "__main__":
    raise SystemExit(main())
