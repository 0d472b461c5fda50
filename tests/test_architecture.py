"""Who may write, spawn, print: held by reading the code, not by a page of rules."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

AGENT = Path(__file__).parent.parent / "agent"
TOP = AGENT.parent
MODULES = {
    str(path.relative_to(AGENT / "migprep")): ast.parse(path.read_text())
    for path in sorted((AGENT / "migprep").rglob("*.py"))
    if "/rules/" not in str(path) and "/templates/" not in str(path)
}

#: The machine is changed by two modules alone; the others write only files of migprep's own.
WRITERS = {"apply.py", "journal.py", "cache.py", "output.py", "memory.py"}
CHANGERS = {"replace", "rename", "unlink", "remove", "rmdir", "mkdir", "makedirs", "chmod", "chown", "fchown", "fchmod",
            "symlink", "link", "truncate", "ftruncate", "setxattr", "removexattr", "mkfifo", "mknod", "utime", "write_text",
            "write_bytes", "rmtree", "copy2", "copyfile", "move"}  # fmt: skip


def calls(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_only_some_modules_write():
    found = set()
    for name, tree in MODULES.items():
        for call in calls(tree):
            function = call.func
            if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                if function.value.id in ("os", "shutil", "pathlib") and function.attr in CHANGERS:
                    found.add(name)
            if isinstance(function, ast.Name) and function.id == "open":
                mode = next((one.value for one in [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "mode")]
                             if isinstance(one, ast.Constant)), "r")  # fmt: skip
                if set(str(mode)) & set("wax+"):
                    found.add(name)
    assert found <= WRITERS


def test_only_process_spawns():
    found = set()
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            if isinstance(node, ast.ImportFrom):
                names.append(node.module or "")
            if "subprocess" in names or "pty" in names:
                found.add(name)
        for call in calls(tree):
            if isinstance(call.func, ast.Attribute) and call.func.attr in ("system", "popen", "fork", "execv", "execve", "posix_spawn"):
                if isinstance(call.func.value, ast.Name) and call.func.value.id == "os":
                    found.add(name)
    assert found <= {"process.py"}


def test_only_cli_prints_and_exits():
    found = set()
    for name, tree in MODULES.items():
        for call in calls(tree):
            function = call.func
            if isinstance(function, ast.Name) and function.id in ("print", "exit", "quit", "input"):
                found.add(name)
            if isinstance(function, ast.Attribute) and function.attr == "exit" and isinstance(function.value, ast.Name):
                if function.value.id == "sys":
                    found.add(name)
    assert found <= {"cli.py", "__main__.py"}


def test_facts_do_not_read_around_the_root():
    """A fact that opens a path itself would read this machine instead of the one it is asked about."""
    for name, tree in MODULES.items():
        if name.startswith("facts/") and name not in ("facts/observed.py", "facts/__init__.py"):
            for call in calls(tree):
                assert not (isinstance(call.func, ast.Name) and call.func.id == "open"), name


#: Each of these costs as much as judging all rules.
HEAVY = {"typing", "dataclasses", "hashlib", "subprocess", "jinja2", "psutil", "pyudev", "yaml", "distro", "netifaces", "ssl", "shlex",
         "inspect", "tempfile", "logging", "pathlib", "datetime", "decimal", "ipaddress", "configparser", "socket", "ctypes"}  # fmt: skip
#: What no usual check imports.
SELDOM = {"actions.py", "apply.py", "capture.py", "compression.py", "cpio.py", "journal.py", "lint.py", "mend.py", "plan.py",
          "process.py", "render.py", "diff.py", "trace.py", "saved.py", "memory.py",
          "proof.py"}  # fmt: skip
TOLD = {"report/document.py", "report/text.py", "report/outcome.py"}


def test_a_check_imports_nothing_heavy():
    """Import it in the function that needs it; what `typing` has is in migprep.typed."""
    for name, tree in MODULES.items():
        if name in SELDOM or name.startswith(("report/", "fleet/")) and name not in TOLD:
            continue
        for node in tree.body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {one.split(".")[0] for one in names} & HEAVY, f"{name}:{node.lineno}"


def test_what_the_zipapp_lacks_is_asked_for_in_one_place():
    """A library that is not pure Python may be missing: `facts/observed.py` says so, and nothing else imports one."""
    lines = (TOP / "packaging/zipapp/requirements.txt").read_text().split("\n")
    brought = {line.partition("==")[0].replace("pyyaml", "yaml") for line in lines if "==" in line}
    own = {"migprep", *sys.stdlib_module_names, "_sha2", "compression"}  # the last two came with Python 3.12 and 3.14
    assert {"jinja2", "yaml", "pyudev"} < brought
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            foreign = {one.split(".")[0] for one in names} - own
            assert foreign <= brought, f"{name}:{node.lineno}"


def run(*argv):
    done = subprocess.run([sys.executable, "-m", *argv], cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff():
    run("ruff", "check", "agent", "hatch_build.py")


def test_mypy():
    pytest.importorskip("mypy")
    run("mypy")


def test_imports_point_one_way():
    import os

    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=TOP, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(AGENT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
