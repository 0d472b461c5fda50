"""Configuration that the next initramfs is made from: its tool, its drivers, this machine's alone or not."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.root import Root
from migprep.typed import NamedTuple

#: Commands of each tool, in the order in which distributions prefer them when several are installed.
TOOLS = (
    ("initramfs-tools", ("update-initramfs", "mkinitramfs"), "/etc/initramfs-tools"),
    ("dracut", ("dracut",), "/etc/dracut.conf.d"),
    ("mkinitcpio", ("mkinitcpio",), "/etc/mkinitcpio.conf"),
    ("mkinitrd", ("mkinitrd",), "/etc/sysconfig/kernel"),
)  # fmt: skip
MODULES = "/etc/initramfs-tools/modules"
DRACUT = "/etc/dracut.conf.d/90-migprep.conf"
MKINITCPIO = "/etc/mkinitcpio.conf"
SUSE = "/etc/sysconfig/kernel"
#: The mkinitrd of Red Hat to release 5 takes the drivers of disks from here (modprobe.conf(5), mkinitrd(8)).
ALIASES = "/etc/modprobe.conf"
HEAD = "# Drivers for the hardware this machine moves to, added by migprep.\n"

# add_drivers+=" virtio_blk "   force_drivers+=" x "   INITRD_MODULES="ata_piix virtio_blk"   MODULES=(virtio_blk)
VALUE = r"(?P<plus>\+?)=(?P<value>\"[^\"]*\"|'[^']*'|\([^)]*\)|[^\s#]*)"
NAMED = re.compile(r"^[ \t]*(?P<key>add_drivers|force_drivers|drivers|INITRD_MODULES|MODULES)" + VALUE, re.MULTILINE)
# alias scsi_hostadapter1 mptspi
ALIAS = re.compile(r"^[ \t]*alias[ \t]+scsi_hostadapter(?P<number>\d*)[ \t]+(?P<driver>[\w-]+)", re.MULTILINE)
POLICY = re.compile(r"^[ \t]*(?P<key>hostonly|MODULES|HOOKS)" + VALUE, re.MULTILINE)


def tool(root: Root, made: str = "") -> str:
    """The tool of the next image: the one that made today's (`made`) when it is installed, else one that is.

    Where no command is found, as in a capture, its configuration tells; "" when nothing does.
    """
    present = [name for name, commands, _ in TOOLS if any(_is_installed(root, one) for one in commands)]
    present = present or [name for name, _, place in TOOLS if files.exists(root, place)]
    return made if made in present else next(iter(present), "")


#: What Debian's kernel packages run after an update, and the command that it runs.
HOOKS = (("initramfs-tools", "update-initramfs"), ("dracut", "dracut"))


def hooked(root: Root) -> tuple[str, ...]:
    """The tools that make an image at the next kernel update where more than one may (Debian)."""
    folder = "/etc/kernel/postinst.d"
    return tuple(
        name for name, command in HOOKS if files.exists(root, f"{folder}/{name}") and _is_installed(root, command)
    )


def _is_installed(root: Root, command: str) -> bool:
    return any(files.exists(root, f"{folder}/{command}") for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"))


def _conf(root: Root, folder: str, ending: str) -> list[str]:
    return [f"{folder}/{name}" for name in root.names(folder) if name.endswith(ending) and not name.startswith(".")]


def _dracut(root: Root) -> list[str]:
    # Files of one name in /etc hide those of the distribution; then in the order of their names (dracut.conf(5)).
    named = {
        path.rpartition("/")[2]: path
        for folder in ("/usr/lib/dracut/dracut.conf.d", "/etc/dracut.conf.d")
        for path in _conf(root, folder, ".conf")
    }
    return ["/etc/dracut.conf", *(named[name] for name in sorted(named))]


# tmpdir="/srv/tmp"
TMPDIR = re.compile(r"^[ \t]*tmpdir=[\"']?(/[^\"'\n#]*)", re.MULTILINE)


def dracut_tmpdir(root: Root) -> str:
    """The folder in which dracut lays out an image before it packs it (dracut.conf(5), tmpdir)."""
    found = [value for path in _dracut(root) for value in TMPDIR.findall(files.text(root, path) or "")]
    return found[-1].strip() if found else "/var/tmp"  # noqa: S108  its own default


class DracutModule(NamedTuple):
    """One module that a configuration asks dracut for."""

    path: str
    line: int
    name: str


# add_dracutmodules+=" crypt lvm network-legacy "
ADDED = r"(?m)^[ \t]*(?:force_)?add_dracutmodules\+?=(?P<value>\"[^\"]*\"|'[^']*'|[^\s#]*)"


def absent_modules(root: Root) -> tuple[DracutModule, ...]:
    """Those that no folder has (90crypt, 95iscsi …); none where dracut keeps no modules. Raises Unreadable."""
    folders = root.names("/usr/lib/dracut/modules.d")
    if not folders:
        return ()
    known = {name.lstrip("0123456789") for name in folders}
    found = []
    for path in _dracut(root):
        text = files.text(root, path) or ""
        for given in re.finditer(ADDED, text):
            names = given.group("value").strip("\"'").split()
            line = text.count("\n", 0, given.start()) + 1
            found += [DracutModule(path, line, one) for one in names if one not in known and "$" not in one]
    return tuple(found)


class Policy(NamedTuple):
    """Where dracut is told by which sort of name its images wait for devices."""

    path: str
    line: int
    value: str

    def mended(self, line: str) -> str:
        """The line with a name that is written on the device."""
        return line.replace(self.value, "by-uuid", 1)


# persistent_policy="by-path"
PLACED = r"(?m)^[ \t]*persistent_policy=[\"']?(?P<value>by-path|by-id)\b"


def placed(root: Root) -> tuple[Policy, ...]:
    """Settings by which images wait for the place or the maker of a device (dracut.conf(5), persistent_policy)."""
    texts = ((path, files.text(root, path) or "") for path in _dracut(root))
    return tuple(
        Policy(path, text.count("\n", 0, given.start("value")) + 1, given.group("value"))
        for path, text in texts
        for given in re.finditer(PLACED, text)
    )


def drivers(root: Root) -> tuple[str, ...]:
    """Every driver that a configuration names, as the kernel knows it. Raises Unreadable."""
    found: list[str] = []
    for path in (MODULES, *_conf(root, "/usr/share/initramfs-tools/modules.d", "")):
        for line in (files.text(root, path) or "").split("\n"):
            found += line.partition("#")[0].split()[:1]
    for path in (*_dracut(root), SUSE, MKINITCPIO, *_conf(root, "/etc/mkinitcpio.conf.d", ".conf")):
        for given in NAMED.finditer(files.text(root, path) or ""):
            if given.group("key") != "MODULES" or "mkinitcpio" in path:
                found += given.group("value").strip("\"'()").split()
    found += [given.group("driver") for given in ALIAS.finditer(files.text(root, ALIASES) or "")]
    return tuple(dict.fromkeys(name.replace("-", "_") for name in found))


def host_only(root: Root, name: str) -> tuple[str, int]:
    """The file and line that ask for this machine's drivers alone; "" and 0 when nothing does. Raises Unreadable."""
    found = ("", 0)
    if name == "initramfs-tools":
        paths = ["/etc/initramfs-tools/initramfs.conf", *_conf(root, "/etc/initramfs-tools/conf.d", "")]
    elif name == "dracut":
        paths = _dracut(root)
    else:
        paths = [MKINITCPIO] if name == "mkinitcpio" else []
    for path in paths:
        text = files.text(root, path) or ""
        for given in POLICY.finditer(text):
            value, key = given.group("value").strip("\"'()").strip(), given.group("key")
            here = (path, text.count("\n", 0, given.start()) + 1)
            if name == "initramfs-tools" and key == "MODULES":
                found = here if value in ("dep", "list", "netboot") else ("", 0)
            elif name == "dracut" and key == "hostonly":
                found = here if value not in ("no", "") else ("", 0)
            elif name == "mkinitcpio" and key == "HOOKS":
                found = here if "autodetect" in value.split() else ("", 0)
    return found


def drop_in(root: Root, name: str) -> str:
    """The file in which drivers are asked for: one of our own where the tool reads a folder."""
    if name == "mkinitrd":
        has_list = "INITRD_MODULES" in (files.text(root, SUSE) or "")
        return ALIASES if files.exists(root, ALIASES) and not has_list else SUSE
    return {"initramfs-tools": MODULES, "dracut": DRACUT, "mkinitcpio": MKINITCPIO}.get(name, "")


def with_drivers(path: str, text: str, names: tuple[str, ...]) -> str:
    """`text` of the file at `path`, asking for `names` too; unchanged where there is no place for it."""
    if not names:
        return text
    end = "\r\n" if "\r\n" in text else "\n"
    start = text if not text or text.endswith("\n") else text + end
    if path == MODULES:
        return start + end.join([HEAD.strip(), *names, ""])
    if path == DRACUT:
        # The blanks inside the quotes keep the names of two files apart (dracut.conf(5)).
        return start + (HEAD if not text else "") + f'add_drivers+=" {" ".join(names)} "\n'
    if path == ALIASES:
        numbers = [int(given.group("number") or 0) for given in ALIAS.finditer(text)]
        first = max(numbers, default=-1) + 1
        lines = [f"alias scsi_hostadapter{number or ''} {name}" for number, name in enumerate(names, first)]
        return start + end.join([HEAD.strip(), *lines, ""])
    wanted = "INITRD_MODULES" if path == SUSE else "MODULES"
    last = None
    for given in NAMED.finditer(text):
        last = given if given.group("key") == wanted else last
    if last is None or "$" in last.group("value") or (last.group("value")[:1] not in ('"', "'", "(")):
        return text
    at = last.end("value") - 1
    inside = last.group("value")[1:-1]
    return text[:at] + (" " if inside.strip() and not inside[-1:].isspace() else "") + " ".join(names) + text[at:]
