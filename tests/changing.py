"""What the tests of apply, rollback and power cuts share: a small machine, a plan for it, and a disk that fails."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Callable

from migprep import journal
from migprep.apply import Work
from migprep.builds import Build
from migprep.journal import System
from migprep.plan import Change
from migprep.process import Outcome
from migprep.root import Tree

FSTAB = b"# a comment\r\n/dev/sdb1 /data ext4 defaults 0 2\r\n\xff no final newline"
MENU_OLD = b"### BEGIN /etc/grub.d/10_linux ###\nlinux /vmlinuz-1 root=/dev/sda1\n"
MENU_NEW = b"### BEGIN /etc/grub.d/10_linux ###\nlinux /vmlinuz-1 root=UUID=1 ro\n"
MENU_BETTER = MENU_NEW + b"# made anew\n"
BLOCK_OLD = b"# GRUB Environment Block\nkernelopts=root=/dev/sda1 ro\n".ljust(1024, b"#")
BLOCK_NEW = b"# GRUB Environment Block\nkernelopts=root=UUID=1 ro\n".ljust(1024, b"#")
NAME = "20260101T000000Z"


def machine(folder: Path) -> Tree:
    """A tree with a file to edit, one to delete, a boot menu, and GRUB's environment block."""
    for path, content in (
        ("etc/fstab", FSTAB),
        ("boot/grub/grubenv", BLOCK_OLD),
        ("etc/udev/rules.d/70-persistent-net.rules", b'SUBSYSTEM=="net"\n'),
        ("boot/grub/grub.cfg", MENU_OLD),
    ):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        os.utime(target, (1_000_000, 1_000_000))
    os.chmod(folder / "etc/fstab", 0o640)
    try:
        os.setxattr(folder / "etc/fstab", "user.note", b"kept")
    except OSError:
        pass
    return Tree(str(folder))


def work() -> Work:
    """Edits, a new file in new folders, a deletion, an edit by a command, and a file that a command makes anew."""
    changes = (
        Change("/boot/grub/grub.cfg", MENU_OLD, MENU_NEW, ("arguments/x",)),
        Change("/boot/grub/grubenv", BLOCK_OLD, BLOCK_NEW, ("arguments/x",), ("grub-editenv", "{}", "set", "x=y")),
        Change("/etc/fstab", FSTAB, FSTAB.replace(b"/dev/sdb1", b"UUID=1"), ("fstab/x",)),
        Change("/etc/systemd/network/10-a.link", None, b"[Match]\n", ("network/x",)),
        Change("/etc/udev/rules.d/70-persistent-net.rules", b'SUBSYSTEM=="net"\n', None, ("udev/x",)),
    )
    beside = "/boot/grub/.grub.cfg.migprep-new"
    build = Build(
        "grub-menu",
        "regenerate the menu",
        "/boot/grub/grub.cfg",
        beside,
        ("grub-mkconfig", "-o", beside),
        (f"{beside}.new",),
        wanted=("UUID=1",),
    )
    return Work(NAME, changes, (build,), {"changes": 6})


def fine() -> list[str]:
    """Nothing stays."""
    return []


def snapshot(tree: Tree) -> dict[str, Any]:
    """Every file and folder with content and metadata, without the journal's own folder."""
    found: dict[str, Any] = {}
    for folder, _, names in os.walk(tree.base):
        inside = folder[len(tree.base) :] or "/"
        if inside.startswith("/var"):
            continue
        found[inside] = None
        for name in names:
            path = os.path.join(folder, name)
            content = os.readlink(path) if os.path.islink(path) else Path(path).read_bytes()
            found[f"{inside.rstrip('/')}/{name}"] = (content, journal.metadata(path))
    return found


class PowerCut(BaseException):
    """The machine is off; nothing in the program may catch this."""


class Disk(System):
    """A System that fails at one call, and knows what was not on the disk by then."""

    def __init__(
        self, tree: Tree, at: int = -1, failure: Callable[[], BaseException] = PowerCut, lasting: bool = False
    ) -> None:
        self.tree, self.at, self.failure, self.lasting = tree, at, failure, lasting
        self.calls = 0
        self.names: list[tuple[str, Callable[[], None]]] = []  # (folder, undo) of names not synced
        self.contents: dict[str, bytes] = {}  # path -> content before, not synced

    def step(self, torn: Callable[[], object] | None = None) -> None:
        """Count one call; fail when its turn has come, having done half of it."""
        self.calls += 1
        if self.calls - 1 == self.at or (self.lasting and self.calls > self.at >= 0):
            if torn:
                torn()
            raise self.failure()

    def lose(self) -> None:
        """The power is gone: undo whatever was not synced, the last first."""
        for path, content in self.contents.items():
            if os.path.exists(path):
                Path(path).write_bytes(content)
        for _, undo in reversed(self.names):
            undo()

    def _name(self, path: str, undo: Callable[[], None]) -> None:
        self.names.append((os.path.dirname(path), undo))

    def _fresh(self, path: str) -> None:
        self.contents.setdefault(path, b"")
        self._name(path, lambda: os.path.lexists(path) and os.unlink(path) or None)

    def write(self, path: str, content: bytes, mode: int = 0o600) -> None:
        def torn() -> None:
            self._fresh(path)
            System.write(self, path, content[: len(content) // 2])

        self.step(torn)
        self._fresh(path)
        super().write(path, content, mode)

    def copy(self, source: str, path: str) -> None:
        def torn() -> None:
            self._fresh(path)
            System.write(self, path, Path(source).read_bytes()[:3])

        self.step(torn)
        self._fresh(path)
        super().copy(source, path)

    def append(self, path: str, content: bytes) -> None:
        self.contents.setdefault(path, Path(path).read_bytes())
        self.step(lambda: System.append(self, path, content[: len(content) // 2]))
        super().append(path, content)

    def truncate(self, path: str, size: int) -> None:
        self.step()
        self.contents.setdefault(path, Path(path).read_bytes())
        super().truncate(path, size)

    def describe(self, path: str, metadata: journal.Metadata) -> None:
        self.step()
        super().describe(path, metadata)

    def sync(self, path: str) -> None:
        self.step()
        super().sync(path)
        self.contents.pop(path, None)
        self.names = [one for one in self.names if one[0] != path]

    def rename(self, source: str, path: str) -> None:
        self.step()
        old = (Path(path).read_bytes(), journal.metadata(path)) if os.path.exists(path) else None

        def undo() -> None:
            if os.path.lexists(path):
                os.rename(path, source)
            if old:
                Path(path).write_bytes(old[0])
                System.describe(self, path, old[1])

        super().rename(source, path)
        if source in self.contents:
            self.contents[path] = self.contents.pop(source)
        self._name(path, undo)

    def unlink(self, path: str) -> None:
        self.step()
        if os.path.lexists(path):
            old = (Path(path).read_bytes(), journal.metadata(path))

            def undo() -> None:
                Path(path).write_bytes(old[0])
                System.describe(self, path, old[1])

            self._name(path, undo)
        super().unlink(path)

    def mkdir(self, path: str, mode: int) -> None:
        self.step()
        super().mkdir(path, mode)
        self._name(path, lambda: shutil.rmtree(path))  # with what was in it

    def rmdir(self, path: str) -> None:
        self.step()
        had = os.path.isdir(path)
        super().rmdir(path)
        if had and not os.path.isdir(path):
            self._name(path, lambda: os.mkdir(path))

    def run(self, argv: list[str], seconds: float) -> Outcome:
        path = self.tree.base + next(one for one in argv if ".migprep-" in one or one.endswith("migprep-new"))
        content = BLOCK_NEW if argv[0] == "grub-editenv" else MENU_BETTER
        if os.path.exists(path):
            self.contents.setdefault(path, Path(path).read_bytes())
        else:
            self._fresh(path)
        self.step(lambda: Path(path).write_bytes(content[:9]))
        Path(path).write_bytes(content)
        return Outcome(0, b"", b"done")
