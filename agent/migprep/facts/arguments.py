"""Kernel arguments: those the kernel runs with, and every file in which they are kept."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts.block import Block, Reference, number, unresolved
from migprep.formats import bootmenu, cmdline
from migprep.model import Undetermined, Unknown
from migprep.root import Root, Unreadable
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migprep.facts import Facts
    from migprep.facts.bootloader import BootLoader, MenuEntry
    from migprep.facts.menuvars import Expanded

#: Arguments whose value names a block device (dracut.cmdline(7), initramfs-tools(7), kernel-parameters.rst).
DEVICES = frozenset({"root", "resume", "boot", "cryptdevice", "real_root", "crypt_root", "RESUME"})
#: Those of which the last one counts, however often they are given.
ONE = DEVICES | {"mount.usr", "cryptkey", "init", "systemd.unit", "rd.systemd.unit", "rootfstype"}
#: Of those that name a further device, where the name stands, and what it is for (dracut.cmdline(7),
#: systemd-fstab-generator(8), systemd-cryptsetup-generator(8), cryptsetup's README.initramfs, Arch's encrypt hook).
DEVICE = r"(?P<spec>(?:/dev/|(?:PART)?(?:UUID|LABEL)=)[^:,]+)"
MOUNT, SWAP = rf"{DEVICE}:(?P<place>[^:]*)(?::[^:]*:?(?P<options>.*))?", rf"{DEVICE}(?P<place>)(?P<options>.*)"
KEY, HEADER, DATA = rf"[^:]*:{DEVICE}", rf"(?:.*[,=])?header=[^,:]*:{DEVICE}", rf"[^=]*={DEVICE}"
FURTHER = {
    "mount.usr": (DEVICE, "/usr"),
    "rd.luks.key": (KEY, "the key of the root"), "luks.key": (KEY, "the key of the root"),
    "rd.luks.options": (HEADER, "the header of the root"), "luks.options": (HEADER, "the header of the root"),
    "rd.luks.data": (DATA, "the encrypted root"), "luks.data": (DATA, "the encrypted root"),
    "cryptkey": (DEVICE, "the key of the root"), "cryptopts": (rf"(?:.*,)?source={DEVICE}", "the encrypted root"),
    "systemd.mount-extra": (MOUNT, ""), "rd.systemd.mount-extra": (MOUNT, ""),
    "systemd.swap-extra": (SWAP, "swap"), "rd.systemd.swap-extra": (SWAP, "swap"),
}  # fmt: skip
#: What reads none of them but one: initramfs-tools has its own, and no systemd inside.
OWN = {"cryptopts": "initramfs-tools", "cryptkey": "mkinitcpio"}
ROOTS = frozenset({"root", "real_root", "crypt_root", "cryptdevice"})
# GRUB_CMDLINE_LINUX="console=tty0 root=/dev/sda1"
ASSIGNMENT = (
    r"(?m)^[ \t]*(?:export[ \t]+)?(?P<name>[A-Z_a-z0-9]+)[ \t]*(?P<plus>\+?)="
    r"(?P<value>\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s#]*)"
)
SHELL = {"GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT", "GRUB_CMDLINE_LINUX_RECOVERY",
         "GRUB_CMDLINE_LINUX_XEN_REPLACE", "GRUB_CMDLINE_LINUX_XEN_REPLACE_DEFAULT", "DEFAULT_APPEND",
         "FAILSAFE_APPEND", "XEN_KERNEL_APPEND", "kernel_cmdline"}  # fmt: skip
#: Settings with which grub-mkconfig writes kernel names instead of UUIDs (info grub).
NAMING = ("GRUB_DISABLE_LINUX_UUID", "GRUB_DISABLE_UUID")
DEFAULTS, DROP_INS = "/etc/default/grub", "/etc/default/grub.d/*.cfg"
#: What a maker of the menu says that sources drop-ins, too: Debian's, and those that come from it.
SOURCED = "/default/grub.d"
MAKERS = ("/usr/sbin/grub-mkconfig", "/usr/bin/grub-mkconfig", "/usr/sbin/grub2-mkconfig")
#: What tells SUSE's release, and the first with images of dracut; before, mkinitrd made them (boot-storage.sh).
SUSE, DRACUT = "/etc/SuSE-release", 12
# if [ -e /x ]; then     case $A in     f() {
BLOCKS = r"(?m)^[ \t]*(?:if|case|for|while|until)\b|[{(][ \t]*$"


#: Types of which a driver mounts the others, too.
EXT = ("ext2", "ext3", "ext4")
#: Arguments with which a boot ends in a shell at the console (kernel-command-line(7), dracut.cmdline(7), init(8)).
SHELLS = frozenset({"single", "s", "S", "1", "-s", "rescue", "emergency", "-b"})
#: What makes no boot fail, or is judged by what it names; the rest is worth a try before the move.
HARMLESS = DEVICES | {
    "BOOT_IMAGE", "initrd", "ro", "rw", "quiet", "splash", "rhgb", "console", "vt.handoff", "crashkernel", "loglevel",
    "noresume", "net.ifnames", "biosdevname",
}  # fmt: skip
BREAKS = frozenset({"rd.break", "rdbreak", "break"})
UNITS, PROGRAMS = ("rescue.target", "emergency.target"), ("/sh", "/bash", "/dash", "/sulogin", "/busybox")

#: What a shell reads as one, and a quote that is left alone.
QUOTED = r"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"|(?:^|(?<=\s))#[^\n]*|[\"']"


class Given(NamedTuple):
    """One argument of the next boot, and where it stands."""

    path: str
    word: cmdline.Word

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.word.key}={self.word.value}" if self.word.value else self.word.key

    @property
    def ends_in_shell(self) -> bool:
        """Whether the machine stops at a shell on its console, and starts no service."""
        key, value = self.word.key, self.word.value
        if key == "init":
            return value.endswith(PROGRAMS)
        return key in BREAKS or key in SHELLS and not value or key.endswith("systemd.unit") and value in UNITS


class Argument(NamedTuple):
    """One argument in one store."""

    path: str
    store: str  # running, menu, defaults, initramfs-tools, dracut
    key: str
    value: str
    line: int
    start: int
    end: int
    device: Reference
    is_default: bool  # of the entry that boots next
    has_initrd: bool
    with_fips: bool = False  # its entry asks for FIPS mode, which checks the kernel on the device named as boot=
    written: str = ""  # the whole value, of which a further device's name is a part
    use: str = ""  # what a further device is for: /usr, the key of the root
    is_optional: bool = False  # a further device without which the boot goes on

    @property
    def subject(self) -> str:
        """What the argument is about."""
        return f"{self.value} in {self.path}" if self.is_part_of_root or self.use else f"{self.key} in {self.path}"

    @property
    def observed(self) -> str:
        """As it is written."""
        return f"{self.key}={'device=' if self.is_part_of_root else ''}{self.written or self.value}"

    @property
    def is_root(self) -> bool:
        """Names the root filesystem."""
        return self.key in ROOTS

    @property
    def is_found_by_program(self) -> bool:
        """Names the root by what a program of an initramfs looks up: the kernel itself reads no filesystem's UUID."""
        return self.key == "root" and self.value.startswith(("UUID=", "LABEL=", "/dev/disk/", "/dev/mapper/"))

    @property
    def is_resume(self) -> bool:
        """Names where a suspended system is looked for."""
        return self.key in ("resume", "RESUME")

    @property
    def is_part_of_root(self) -> bool:
        """Names a further device of a root of several (btrfs(5), device=), or its journal."""
        return self.key == "rootflags"

    @property
    def is_checked_boot(self) -> bool:
        """Names the device with the kernel whose checksum is verified before anything is mounted (dracut-fips)."""
        return self.key == "boot" and self.with_fips

    def is_read_by(self, tool: str) -> bool:
        """Whether an initramfs of this tool, or the system itself, does what the argument says."""
        if self.key.startswith("systemd."):
            return True
        return tool == OWN[self.key] if self.key in OWN else tool != "initramfs-tools"

    @property
    def gates(self) -> bool:
        """Whether the next boot depends on it."""
        return self.store == "menu" and self.is_default

    @property
    def is_sealed(self) -> bool:
        """Whether it is inside a unified kernel image, which is made anew and not edited."""
        return self.path.lower().endswith(".efi")

    @property
    def is_copied(self) -> bool:
        """Whether it is read by the loader's installer (lilo, zipl) alone: a new text changes nothing by itself."""
        return self.store == "menu" and self.path.startswith("/etc/")

    @property
    def candidate(self) -> str:
        """How to name the device instead; the kernel alone, without an initramfs, finds no filesystem UUID."""
        return "" if self.is_sealed or self.is_copied else self._lasting

    @property
    def _lasting(self) -> str:
        if isinstance(self.device.devices, Unknown):
            return ""
        if not self.has_initrd and self.store == "menu" and len(self.device.devices) == 1:
            partuuid = self.device.devices[0].partuuid
            return f"PARTUUID={partuuid}" if partuuid else ""
        return self.device.candidate

    @property
    def expected(self) -> str:
        """What should stand there."""
        wanted = self._lasting
        told = f"{self.key}={wanted}" if wanted else f"{self.key}= with a UUID or label of the device"
        if self.written:
            told = f"{self.key}={self.written.replace(self.value, wanted)}" if wanted else told
        return f"an image made anew with {told}" if self.is_sealed else told


class Store(NamedTuple):
    """One file with arguments in it."""

    path: str
    text: str
    arguments: tuple[Argument, ...]


class Naming(NamedTuple):
    """A file of GRUB's defaults that has the menu made with kernel names."""

    path: str
    text: str
    settings: tuple[re.Match[str], ...]

    @property
    def key(self) -> str:
        """The setting that counts: the last one."""
        return self.settings[-1].group("name")

    @property
    def line(self) -> int:
        """Where that stands."""
        return self.text.count("\n", 0, self.settings[-1].start()) + 1

    @property
    def subject(self) -> str:
        """What it is about."""
        return self.key if self.path == DEFAULTS else f"{self.key} in {self.path}"

    @property
    def is_plain(self) -> bool:
        """Whether a line can be taken out: no block of the shell is left empty."""
        return not re.search(BLOCKS, self.text)

    @property
    def without(self) -> str:
        """The text with those lines commented out, so that the menu is made with UUIDs."""
        text = self.text
        for found in reversed(self.settings):
            text = f"{text[: found.start()]}#{text[found.start() :]}"
        return text


class Arguments(NamedTuple):
    """Every argument that names a device, wherever it is kept, and the words of the running kernel."""

    running: tuple[cmdline.Word, ...]
    stores: tuple[Store, ...]
    defaults: tuple[Store, ...]  # the files that grub-mkconfig sources, in its order
    next: tuple[Given, ...] | Unknown = ()  # every argument of the next boot
    root: frozenset[str] | Unknown = frozenset()  # names of the device mounted as root and of all below it
    unknown: Unknown | None = None  # a variable of the menu that may hold what decides
    menu: str = ""  # path of the entry that boots next; "" where no menu tells it
    lost_subvolumes: tuple[Given, ...] | Unknown = ()  # rootflags= of the next boot with a subvolume that is not there

    @property
    def unbalanced(self) -> tuple[Store, ...]:
        """The files of GRUB's defaults in which a quote is never closed: a shell that reads them fails."""
        return tuple(one for one in self.defaults if {"'", '"'} & set(re.findall(QUOTED, one.text, re.DOTALL)))

    @property
    def kept(self) -> tuple[Argument, ...]:
        """The arguments of all stores that name a device; those of this boot only where no menu tells the next."""
        found = tuple(one for store in self.stores for one in store.arguments)
        is_told = any(one.gates for one in found)
        return tuple(one for one in found if not (is_told and one.path == RUNNING))

    @property
    def deciding(self) -> tuple[Argument, ...]:
        """The arguments with which the machine boots next: the menu's default, else what it runs with now.

        Raises Undetermined where a variable of the menu hides them.
        """
        if self.unknown:
            raise Undetermined(self.unknown.reason)
        return self._deciding

    @property
    def _deciding(self) -> tuple[Argument, ...]:
        kept = self.kept
        return tuple(one for one in kept if one.gates) or tuple(one for one in kept if one.path == RUNNING)

    @property
    def others(self) -> tuple[Argument, ...]:
        """The arguments of other menu entries, and of files from which later entries are made."""
        deciding = self._deciding
        return tuple(one for one in self.kept if one not in deciding and one.path != RUNNING)

    @property
    def further(self) -> tuple[Argument, ...]:
        """Those of the next boot that name a further device without which it does not come up."""
        return tuple(one for one in self.deciding if one.use and not one.is_optional)

    @property
    def further_later(self) -> tuple[Argument, ...]:
        """Those that name a further device, and without which a boot goes on, or which only later boots have."""
        optional = (one for one in self._deciding if one.use and one.is_optional)
        return (*optional, *(one for one in self.others if one.use))

    @property
    def naming(self) -> tuple[Naming, ...]:
        """The files that have GRUB's menu made with kernel names; what the last of all files says counts."""
        texts = {one.path: one.text for one in self.defaults}
        told = [(path, found) for path, text in texts.items() for found in re.finditer(ASSIGNMENT, text)]
        last = {found.group("name"): _is_true(found) for _, found in told}
        by_file: dict[str, tuple[re.Match[str], ...]] = {}
        for path, found in told:
            if found.group("name") in NAMING and last[found.group("name")] and _is_true(found):
                by_file[path] = (*by_file.get(path, ()), found)
        return tuple(Naming(path, texts[path], settings) for path, settings in by_file.items())

    @property
    def elsewhere(self) -> tuple[Argument, ...]:
        """Those of the next boot that name as root another device than the one that is mounted there."""
        if isinstance(self.root, Unknown):
            raise Undetermined(self.root.reason)
        return tuple(
            one
            for one in self.deciding
            if one.key == "root" and not isinstance(one.device, Unknown) and len(one.device.devices) == 1
            and self.root and one.device.devices[0].name not in self.root
        )  # fmt: skip

    @property
    def menu_without_root(self) -> str:
        """The menu whose entry that boots next names no root; "" where it does, or no menu tells. Undetermined."""
        if isinstance(self.next, Unknown):
            raise Undetermined(self.next.reason)
        roots = ("root", "boot", "nfsroot", "netroot")
        if not self.menu or any(one.word.key in roots for one in self.next):
            return ""
        if self.running and not any(one.key in roots for one in self.running):  # it came up without one
            return ""
        return self.menu

    @property
    def wrong_types(self) -> tuple[Given, ...]:
        """What the next boot is told of the root's type, and its filesystem is of another. Raises Undetermined."""
        kinds = {
            device.fstype for one in self.deciding if one.key == "root" and (one.gates or not self.menu)
            for device in one.device.devices if not device.fstype.startswith("crypto_")
        }  # fmt: skip
        if isinstance(self.next, Unknown) or len(kinds) != 1 or "" in kinds:
            return ()
        known = {"auto", *(one for kind in kinds for one in (EXT if kind in EXT else (kind,)))}
        told = (one for one in self.next if one.word.key == "rootfstype" and one.word.value)
        return tuple(one for one in told if known.isdisjoint(one.word.value.split(",")))

    @property
    def running_given(self) -> tuple[Given, ...]:
        """The arguments of this boot."""
        return tuple(Given(RUNNING, word) for word in self.running)

    @property
    def untried(self) -> tuple[Given, ...]:
        """What a menu tells the next boot and this one was not told, but what a boot does not hang on. Undetermined."""
        if isinstance(self.next, Unknown):
            raise Undetermined(self.next.reason)
        if not self.menu or not self.running:
            return ()
        known = {one.text for one in self.running_given}
        return tuple(one for one in self.next if one.word.key not in HARMLESS and one.text not in known)

    @property
    def names_goal(self) -> bool:
        """Whether the next boot is told what to start into: a runlevel, a unit. Raises Undetermined."""
        if isinstance(self.next, Unknown):
            raise Undetermined(self.next.reason)
        return any(one.word.key in ("2", "3", "4", "5", "systemd.unit") for one in self.next)

    @property
    def wants_splash(self) -> bool:
        """Whether the running kernel was asked for a boot splash."""
        return any(word.key in ("splash", "rhgb") for word in self.running)

    def value(self, key: str) -> str:
        """The last value that the running kernel was given for `key`; "" for none."""
        return next((word.value for word in reversed(self.running) if word.key == key), "")

    def render(self, items: tuple[Argument, ...]) -> str:
        """The text of the store of `items`, with each of them named by its stable candidate."""
        store = next(store for store in self.stores if store.path == items[0].path)
        changed = cmdline.replace(store.text, {(item.start, item.end): item.candidate for item in items})
        return padded(changed) if store.path.endswith("grubenv") else changed


RUNNING = "/proc/cmdline"


def padded(text: str) -> str:
    """A GRUB environment block at its fixed size of 1024 bytes, as grub-editenv(1) fills it."""
    body = text.rstrip("#")
    room = 1024 - len(body.encode("utf-8", "surrogateescape"))
    if room < 0:
        raise Undetermined("the GRUB environment block has no room for the change")
    return body + "#" * room


def probe(facts: Facts) -> Arguments:
    """Read /proc/cmdline, the boot loader's menus and every file from which they are made."""
    root, block = facts.root, facts.block
    running = files.text(root, RUNNING, 65536)
    stores = []
    if running is not None:
        stores.append(Store(RUNNING, running, _named(RUNNING, "running", cmdline.words(running), block)))
    stores += _menus(facts, block)
    stores += _assigned(root, block)
    release = re.search(r"(?m)^VERSION = (\d+)", files.text(root, SUSE, 4096) or "")
    if release and int(release.group(1)) < DRACUT:
        stores = [_by_links(one) for one in stores]
    if not stores:
        raise Undetermined("no kernel arguments were found: neither /proc/cmdline nor a boot menu")
    unknown = unknown_variables(facts)
    told = following(facts)
    next_boot = unknown or told
    if not told and not any(one.is_default for one in _entries(facts)):
        next_boot = Unknown("neither a boot menu nor /proc/cmdline tells the arguments of the next boot")
    defaults = _sourced(root, stores)
    menu = next((one.path for one in _entries(facts) if one.is_default), "")
    return Arguments(
        cmdline.words(running or ""), tuple(stores), defaults, next_boot, _root(facts, block), unknown, menu,
        _lost_subvolumes(facts, next_boot),
    )  # fmt: skip


def _lost_subvolumes(facts: Facts, told: tuple[Given, ...] | Unknown) -> tuple[Given, ...] | Unknown:
    if isinstance(told, Unknown):
        return told
    flags = tuple(one for one in told if one.word.key == "rootflags" and "subvol=" in one.word.value)
    if not flags:
        return ()
    from migprep.facts import subvolumes

    return subvolumes.lost(facts, flags[-1:])


def _by_links(store: Store) -> Store:
    """With the devices to resume from by their links: SUSE's mkinitrd looks up UUIDs for root= alone."""

    def linked(one: Argument) -> Argument:
        candidate = one.device.candidate
        if not one.is_resume or isinstance(candidate, Unknown) or not candidate.startswith("UUID="):
            return one
        return one._replace(device=one.device._replace(candidate=f"/dev/disk/by-uuid/{candidate[len('UUID=') :]}"))

    return store._replace(arguments=tuple(map(linked, store.arguments)))


def _sourced(root: Root, stores: list[Store]) -> tuple[Store, ...]:
    """Those of GRUB's defaults that grub-mkconfig reads: drop-ins, too, unless it is one that knows none."""
    found = [one for one in stores if one.path == DEFAULTS or one.path.startswith(f"{DEFAULTS}.d/")]
    if any(one.path != DEFAULTS for one in found):
        maker = menu_maker(root)
        if maker and SOURCED not in maker:
            found = [one for one in found if one.path == DEFAULTS]
    return tuple(found)


def menu_maker(root: Root) -> str:
    """The script that makes GRUB's menu; "" where there is none, or none that can be read."""
    try:
        return next((text for text in (files.text(root, path) for path in MAKERS) if text), "")
    except Unreadable:
        return ""


def _is_true(found: re.Match[str]) -> bool:
    return not found.group("plus") and found.group("value").rstrip(";").strip("\"'") == "true"


def following(facts: Facts) -> tuple[Given, ...]:
    """The arguments of every menu entry that may boot next; those of this boot where no menu tells."""
    return tuple(Given(path, word) for path, words in boots(facts) for word in words)


def boots(facts: Facts) -> Iterator[tuple[str, tuple[cmdline.Word, ...]]]:
    """(path, words) of every text that the next boot takes its arguments from."""
    from migprep.facts.bootloader import menu_text

    loader, entries = facts.bootloader, tuple(one for one in _entries(facts) if one.is_default)
    if isinstance(loader, Unknown) or not entries:
        yield RUNNING, cmdline.words(files.text(facts.root, RUNNING, 65536) or "")
        return
    for one in entries:
        found = expanded(facts.root, loader, one, menu_text(facts.root, one.path))
        by_path: dict[str, tuple[cmdline.Word, ...]] = {}
        for given in found.given:
            by_path[given.path] = (*by_path.get(given.path, ()), given.word)
        yield from by_path.items()


def _entries(facts: Facts) -> tuple[MenuEntry, ...]:
    loader = facts.bootloader
    return () if isinstance(loader, Unknown) else loader.entries


def expanded(root: Root, loader: BootLoader, one: MenuEntry, text: str) -> Expanded:
    """The arguments of an entry that count, with what GRUB's variables stand for; `text` is that of its file."""
    from migprep.facts import menuvars

    span = (one.entry.start, one.entry.end)
    if loader.kind != "grub":
        found = menuvars.plain(one.path, text, span)
    else:
        found = menuvars.of_entry(root, loader.path, loader.environment, one.path, text, span)
    counting = {id(word) for word in last(tuple(given.word for given in found.given))}
    return found._replace(given=tuple(given for given in found.given if id(given.word) in counting))


def unknown_variables(facts: Facts) -> Unknown | None:
    """Why the arguments of the next boot cannot be known, where a variable of GRUB's menu is what tells them."""
    from migprep.facts.bootloader import menu_text

    loader = facts.bootloader
    if isinstance(loader, Unknown) or loader.kind != "grub":
        return None
    for one in loader.entries:
        text = menu_text(facts.root, one.path) if one.is_default else ""
        if "$" in text[one.entry.start : one.entry.end]:
            found = expanded(facts.root, loader, one, text)
            # Without any root= among them, it is what a variable lacks that nothing gives a value.
            names = found.unknown or (() if any(each.word.key in ROOTS for each in found.given) else found.unset)
            if names:
                told = ", ".join(f"${name}" for name in names)
                return Unknown(f"what GRUB has for {told} in {one.path}, line {one.entry.line}, is not known")
    return None


def _root(facts: Facts, block: Block | Unknown) -> frozenset[str] | Unknown:
    from migprep.facts.stacks import under_root

    if isinstance(block, Unknown):
        return block
    below = under_root(facts, block)
    if isinstance(below, Unknown):
        return below
    known = {one.name: one for one in below}
    # The devices of one btrfs share its UUID: any of them names it.
    shared = {one.uuid for one in below if one.fstype == "btrfs"}
    return frozenset({*known, *(one.name for one in block.devices if one.uuid in shared)})


def _named(
    path: str,
    store: str,
    words: tuple[cmdline.Word, ...],
    block: Block | Unknown,
    is_default: bool = False,
    has_initrd: bool = True,
) -> tuple[Argument, ...]:
    found = []
    with_fips = any(word.key == "fips" and word.value == "1" for word in words)
    for word in last(words):
        for spec, start in _specs(word):
            device = unresolved(spec, "", block) if isinstance(block, Unknown) else block.reference(spec)
            is_part = word.key in ("cryptdevice", "rootflags") or word.key in FURTHER
            end = start + len(spec) if is_part else word.end
            if is_part and word.end - word.start != len(word.value):  # a variable holds it: no place to write to
                device = device._replace(candidate="")
            place = (word.line, start, end)
            one = Argument(path, store, word.key, spec, *place, device, is_default, has_initrd, with_fips)
            found.append(_further(one, word.value) if word.key in FURTHER else one)
    return tuple(found)


# systemd.mount-extra=/dev/sdb1:/srv:ext4:nofail
def _further(one: Argument, value: str) -> Argument:
    """With what the further device is for, and whether the boot goes on without it."""
    pattern, use = FURTHER[one.key]
    told = re.match(pattern, value).groupdict()  # type: ignore[union-attr]
    is_optional = use == "swap" or "nofail" in (told.get("options") or "").split(",")
    return one._replace(written=value, use=use or told["place"] or "a mount", is_optional=is_optional)


def last(words: tuple[cmdline.Word, ...]) -> tuple[cmdline.Word, ...]:
    """The words without those that a later one of the same name replaces, where only one can count.

    So read the kernel (init/do_mounts.c), initramfs-tools' init, dracut's getarg and systemd's generators.
    """
    counting = {word.key: word for word in words if word.key in ONE}
    return tuple(word for word in words if counting.get(word.key, word) is word)


# rootflags=subvol=@,device=/dev/sda2,device=/dev/sdb1
def _specs(word: cmdline.Word) -> list[tuple[str, int]]:
    """Every device that an argument names, and where the name begins."""
    if word.key == "rootflags":
        parts = re.finditer(r"(?:^|,)(?:device|logdev|journal_path)=(/dev/[^,]+)", word.value)
        return [(part.group(1), word.start + part.start(1)) for part in parts]
    if word.key in FURTHER:
        found = re.match(FURTHER[word.key][0], word.value)
        return [(found.group("spec"), word.start + found.start("spec"))] if found else []
    spec = _spec(word)
    return [(spec, word.start)] if spec else []


def _spec(word: cmdline.Word) -> str:
    if word.key not in DEVICES or not word.value:
        return ""
    spec = word.value.rsplit(":", word.value.count(":"))[0] if word.key == "cryptdevice" else word.value
    plain = spec.startswith("/dev/") or spec.split("=")[0] in ("UUID", "LABEL", "PARTUUID", "PARTLABEL")
    plain = plain or bool(number(spec)) and word.key in ("root", "real_root")
    return spec if plain and spec not in ("/dev/nfs", "/dev/ram0", "/dev/ram") else ""


def _menus(facts: Facts, block: Block | Unknown) -> list[Store]:
    from migprep.facts.bootloader import menu_text

    loader = facts.bootloader
    if isinstance(loader, Unknown):
        return []
    texts = {path: menu_text(facts.root, path) for path in dict.fromkeys(one.path for one in loader.entries)}
    stores: dict[str, dict[int, Argument]] = {}
    for one in loader.entries:
        text = texts[one.path]
        stores.setdefault(one.path, {})
        found: dict[str, list[cmdline.Word]] = {}
        for given in expanded(facts.root, loader, one, text).given:
            texts[given.path] = given.text
            found.setdefault(given.path, []).append(given.word)
        for path, words in found.items():
            kept = stores.setdefault(path, {})
            for named in _named(path, "menu", tuple(words), block, one.is_default, bool(one.entry.initrd)):
                # What a variable gives to several entries is one text: the entry that boots next decides.
                if one.is_default or named.start not in kept:
                    kept[named.start] = named
    return [Store(path, texts[path], tuple(named.values())) for path, named in stores.items()]


def _assigned(root: Root, block: Block | Unknown) -> list[Store]:
    paths = [
        (DEFAULTS, "defaults"), *((path, "defaults") for path in files.glob(root, DROP_INS)),
        ("/etc/sysconfig/bootloader", "defaults"), ("/etc/dracut.conf", "dracut"),
        *((path, "dracut") for path in files.glob(root, "/etc/dracut.conf.d/*.conf")),
        ("/etc/initramfs-tools/initramfs.conf", "initramfs-tools"),
        *((path, "initramfs-tools") for path in files.glob(root, "/etc/initramfs-tools/conf.d/*")),
    ]  # fmt: skip
    stores = []
    for path, store in paths:
        text = files.text(root, path)
        if text:
            stores.append(Store(path, text, _of_assignments(path, store, text, block)))
    for path in ("/etc/kernel/cmdline", "/usr/lib/kernel/cmdline"):
        text = files.text(root, path, 65536)
        if text:
            stores.append(Store(path, text, _named(path, "defaults", cmdline.words(text), block)))
    return [*stores, *_scripts(root, block)]


def _scripts(root: Root, block: Block | Unknown) -> list[Store]:
    """The administrator's own parts of GRUB's menu, such as 40_custom: what they name comes back with every new one."""
    folder, stores = "/etc/grub.d", []
    for name in root.names(folder):
        if name[3:] in bootmenu.SHIPPED or not name[:1].isdigit():
            continue
        text = files.text(root, f"{folder}/{name}", 65536) or ""
        named: tuple[Argument, ...] = ()
        for entry in bootmenu.grub(text).entries:
            words = cmdline.words(text, entry.start, entry.end)
            named += _named(f"{folder}/{name}", "defaults", words, block, has_initrd=bool(entry.initrd))
        stores += [Store(f"{folder}/{name}", text, named)] if named else []
    return stores


def _of_assignments(path: str, store: str, text: str, block: Block | Unknown) -> tuple[Argument, ...]:
    named: tuple[Argument, ...] = ()
    for found in re.finditer(ASSIGNMENT, text):
        value, start, end = found.group("value"), found.start("value"), found.end("value")
        quoted = len(value) > 1 and value[0] in "\"'"
        if store == "initramfs-tools":
            words = cmdline.words(text, found.start("name"), end) if found.group("name") == "RESUME" else ()
        else:
            words = cmdline.words(text, start + quoted, end - quoted) if found.group("name") in SHELL else ()
        named += _named(path, store, words, block)
    return named
