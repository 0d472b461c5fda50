"""Boot menus: which kernels are offered, with which arguments, and which is the default.

Only what `linux`-like lines say is understood; every position is one of the text itself, so that an edit
changes one word and nothing else.
"""

from __future__ import annotations

import re

from migprep.typed import NamedTuple


class Entry(NamedTuple):
    """One kernel to boot. `start` and `end` are where its arguments stand; `place` is as GRUB counts (1>0)."""

    title: str
    name: str
    place: str
    kernel: str
    initrd: str
    line: int
    start: int
    end: int
    release: str = ""  # of the kernel, where something else than its file name tells
    disk: int = -1  # firmware's number of the disk on which the kernel is looked for; -1 where it is searched for
    searched: str = ""  # the UUID by which it is searched for first: what is not found leaves `disk` as it was

    @property
    def version(self) -> str:
        """The kernel's version as its file name tells it, or the entry; "" when nothing tells."""
        return version_of(self.kernel) or self.release


class Item(NamedTuple):
    """One line that a menu shows, whatever it starts; `does` is what, where that is surely no kernel of Linux."""

    title: str
    name: str
    place: str
    line: int
    does: str = ""  # chainloader +1, fwsetup, reboot.c32
    is_submenu: bool = False


class Menu(NamedTuple):
    """The kernels in the order of the file, what it says of the default ("" when nothing), and all that it shows."""

    entries: tuple[Entry, ...]
    default: str
    items: tuple[Item, ...] = ()

    def wanted(self, saved: str = "") -> str:
        """What the menu starts when nobody touches a key, as it says it; `saved` is GRUB's saved_entry."""
        return saved if "saved_entry" in self.default or self.default == "saved" else self.default

    def chosen(self, saved: str = "") -> Entry | None:
        """The kernel that boots when nobody touches a key: the first one where that is none."""
        return self.of(self.item(self.wanted(saved))) or next(iter(self.entries), None)

    def of(self, item: Item | None) -> Entry | None:
        """The kernel that an item starts; None for none."""
        return next((one for one in self.entries if item and one.place == item.place), None)

    # 2      1>0      gnulinux-advanced-UUID>gnulinux-6.1.0-18-amd64-advanced-UUID
    def item(self, wanted: str) -> Item | None:
        """What a number, a name or a title means, or several of them, each inside of the submenu before it.

        Where there is no such one the first starts, as of a submenu of which nothing more is said (GRUB:
        grub-core/normal/menu.c). What stands in a submenu has to be named with it.
        """
        steps = [one.replace(">>", ">") for one in re.split("(?<!>)>(?!>)", wanted)]
        folder, chosen = "", None
        while chosen is None or chosen.is_submenu:
            here = [one for one in self.items if one.place.rpartition(">")[0] == folder]
            step = steps.pop(0) if steps else ""
            named = [one for one in here if step and step in (one.name, one.title)]
            counted = [one for one in here if step and step == one.place.rpartition(">")[2]]
            chosen = next(iter([*named, *counted, *here]), None)
            if chosen is None:
                return None
            folder = chosen.place
        return chosen


def moved(menu: Menu, by: int, start: int = 0) -> Menu:
    """A menu whose items from number `start` on stand `by` places further down."""

    def place(old: str) -> str:
        first, mark, rest = old.partition(">")
        return f"{int(first) + by}{mark}{rest}" if int(first) >= start else old

    entries = tuple(one._replace(place=place(one.place)) for one in menu.entries)
    return menu._replace(entries=entries, items=tuple(one._replace(place=place(one.place)) for one in menu.items))


# /vmlinuz-6.1.0-18-amd64  /boot/vmlinuz-5.14.0-362.el9.x86_64  vmlinuz-linux-lts
# kernel-genkernel-x86_64-6.6.30-gentoo (Gentoo)  vmlinuz-huge-smp-5.15.19-smp (Slackware)
def version_of(path: str) -> str:
    """The version in a kernel's file name: what follows the first dash, or what its maker puts there first."""
    made = r"(?:vmlinu[xz]|bzImage|kernel|Image)-(?:genkernel-\w+-|(?:huge|generic)-(?:smp-)?)?(.*)$"
    found = re.match(made, path.rsplit("/", 1)[-1])
    return found.group(1) if found and found.group(1)[:1].isdigit() else ""


#: Scripts of distributions that write a GRUB menu; each with two digits before it.
SHIPPED = frozenset((
    "header", "tuned", "debian_theme", "fallback_counting", "linux", "linux_zfs", "linux_xen", "linux_bls", "proxmox",
    "reset_boot_success", "menu_auto_hide", "menu_show_once", "memtest86+", "ppc_terminfo", "bli", "os-prober",
    "uefi-firmware", "fwupd",
))  # fmt: skip


# set root='hd1,msdos1'   set root=(hd0,1)   root (hd1,0)   linux (hd1,gpt2)/vmlinuz
DISK = r"\(?[\"']?\(?hd(?P<number>\d+)\b"
ROOT = r"[ \t]*(?:set[ \t]+root=|root(?:noverify)?[ \t]+)" + DISK
SEARCH = r"[ \t]*(?:search\b[^\n]*(?:--set|-s)\b(?!=(?!root\b))|search\.\w+[ \t]+\S+[ \t]+root\b|uuid[ \t])"


# search --no-floppy --fs-uuid --set=root --hint-bios=hd1,msdos1  6c1d0f4e-…
SEARCHED = (
    r"[ \t]*search(?=.*(?:fs-uuid|fs_uuid|[ \t]-u[ \t])).*?[ \t]"
    r"(?P<uuid>[0-9A-Fa-f]{4,}(?:-[0-9A-Fa-f]{4,})+)(?=\s|$)"
)


# Compiled when the first menu is read (re keeps what it compiled): most machines have one kind of menu.
LINUX = (
    r"[ \t]*(?:(?P<linux>linux(?:16|efi)?)|module2?)[ \t]+(?:--\S+[ \t]+)?"
    r"(?P<kernel>\S*(?:vmlinu|bzImage|kernel|Image|(?(linux)\$\{?\w[^/\s]*(?=\s|$)|vmlinu))\S*)(?P<args>[^\n]*)"
)
INITRD = r"[ \t]*(?:initrd(?:16|efi)?|module2?)[ \t]+(?P<paths>(?:--\S+[ \t]+)?\S*(?:init|img)\S*[^\n]*)"
ENTRY = r"[ \t]*(?P<kind>menuentry|submenu)\b(?P<rest>[^\n]*)"
#: What an entry starts that is no kernel of Linux: another loader, a test of memory, a loader of networks, firmware.
OTHER = (
    r"(?P<does>chainloader\b[^\n;}]*|(?:fwsetup|reboot|halt|poweroff|exit)(?=[\s;}]|$)"
    r"|(?:linux(?:16|efi)?|kernel)[ \t]+\S*(?:memtest|ipxe|\.lkrn)\S*)"
)
DEFAULT = r"[ \t]*set[ \t]+default=[\"']?(?P<value>[^\"'\n]*)"


def lines_of(text: str) -> list[tuple[int, int, str]]:
    """(number, offset, line without its end) of every line; only a newline ends one."""
    found, offset = [], 0
    for number, line in enumerate(text.split("\n"), 1):
        found.append((number, offset, line.rstrip("\r")))
        offset += len(line) + 1
    return found


def grub(text: str) -> Menu:
    """grub.cfg of GRUB 2 (info grub, "Commands"), as far as menu entries with a kernel go."""
    entries: list[Entry] = []
    default, counters, depth, title, name = "", [0], 0, "", ""
    levels: list[int] = []
    folders: list[str] = []
    items: list[Item] = []
    place, looked = "0", (-1, "")
    for number, offset, line in lines_of(text):
        opened = re.match(ENTRY, line)
        kernel = re.match(LINUX, line)
        initrd = re.match(INITRD, line)
        chosen = re.match(DEFAULT, line)
        if chosen and (not default or "saved_entry" in chosen.group("value")):
            value = chosen.group("value")
            default = value if "next_entry" not in value else default
        if opened:
            words = re.findall(r"'([^']*)'|\"([^\"]*)\"", opened.group("rest"))
            title = next(("".join(word) for word in words), "")
            found = re.search(r"(?:--id|menuentry_id_option)[ \t]+['\"]?([^'\"\s{]+)", opened.group("rest"))
            name = found.group(1) if found else ""
            place, looked = ">".join([*folders, str(counters[-1])]), (-1, "")
            counters[-1] += 1
            inside = re.search(r"[{;][ \t]*" + OTHER, opened.group("rest"))
            is_submenu = opened.group("kind") == "submenu"
            items.append(Item(title, name, place, number, inside.group("does").strip() if inside else "", is_submenu))
            if is_submenu:
                levels.append(depth)
                folders.append(str(counters[-1] - 1))
                counters.append(0)
        elif kernel and not is_hypervisor(kernel.group("kernel")):
            args = (offset + kernel.start("args"), _continued(text, offset + kernel.end("args")))
            file = kernel.group("kernel")
            disk, searched = _disk_of(file, looked)
            entries.append(Entry(title, name, place, file, "", number, *args, disk=disk, searched=searched))
        elif initrd and entries and not entries[-1].initrd and entries[-1].place == place:
            named = [one for one in initrd.group("paths").split() if not one.startswith("--")]
            entries[-1] = entries[-1]._replace(initrd=main_of(named))
        else:
            looked = _looked_on(line, looked)
            _note(items, place, re.match(r"[ \t]*" + OTHER, line))
        depth += line.count("{") - line.count("${") - line.count("}") + len(re.findall(r"\$\{[^}]*\}", line))
        if levels and depth <= levels[-1] and "}" in line:
            levels.pop()
            folders.pop()
            counters.pop()
    return Menu(tuple(entries), default, _others(items, entries))


def _note(items: list[Item], place: str, told: re.Match[str] | None) -> None:
    """Keep what the item at `place` does, where a line of it tells."""
    if told and items and items[-1].place == place:
        items[-1] = items[-1]._replace(does=items[-1].does or told.group("does").strip())


def _others(items: list[Item], entries: list[Entry]) -> tuple[Item, ...]:
    """The items; what starts a kernel does nothing else."""
    places = {one.place for one in entries}
    return tuple(one._replace(does="") if one.place in places else one for one in items)


# linux /vmlinuz-6.1 root=UUID=… \\
#   ro quiet
def _continued(text: str, end: int) -> int:
    """Where a line really ends that ends at `end`: a backslash there joins the next one to it."""
    while end < len(text) and re.search(r"(?<!\\)(?:\\\\)*\\$", text[text.rfind("\n", 0, end) + 1 : end]):
        following = text.find("\n", end + 1)
        end = following if following >= 0 else len(text)
    return end


def _looked_on(line: str, place: tuple[int, str]) -> tuple[int, str]:
    """(disk, UUID) by which files are looked for after a line of GRUB; a disk of -1 after another kind of search."""
    found = re.match(ROOT, line)
    if found:
        return int(found.group("number")), ""
    if not re.match(SEARCH, line):
        return place
    told = re.search(SEARCHED, line)
    return (place[0], told.group("uuid")) if told else (-1, "")


def _disk_of(kernel: str, looked: tuple[int, str]) -> tuple[int, str]:
    """The disk that a kernel's path names itself, else what was `looked` on."""
    found = re.match(DISK, kernel) if kernel.startswith("(") else None
    return (int(found.group("number")), "") if found else looked


def legacy(text: str) -> Menu:
    """menu.lst or grub.conf of GRUB legacy: `title`, `kernel FILE ARGUMENTS`, `default N`; Debian's `# kopt=`.

    A word ends at a blank, a tab or "=". Under a hypervisor the first `module` is the kernel, the next its initramfs.
    """
    entries: list[Entry] = []
    items: list[Item] = []
    default, title, count, looked = "0", "", -1, (-1, "")
    for number, offset, line in lines_of(text):
        looked = _looked_on(line, looked)
        told = re.match(r"[ \t]*(?P<word>[a-z]+)[ \t=]+(?P<rest>.*)", line)
        word, rest = (told.group("word"), told.group("rest").strip()) if told else ("", "")
        kernel = re.match(r"[ \t]*(?:kernel|module)[ \t=]+(?:--\S+[ \t]+)*(?P<kernel>\S+)(?P<args>.*)", line)
        kopt = re.match(r"# ?kopt(?:_\S+)?=(?P<args>.*)", line)
        other = re.match(r"[ \t]*" + OTHER, line)
        is_open = bool(entries) and entries[-1].place == str(max(count, 0))
        if word == "title":
            title, count, looked = rest, count + 1, (-1, "")
            items.append(Item(title, "", str(count), number))
        elif word == "default":
            default = rest
        elif word in ("initrd", "module") and is_open:
            if not entries[-1].initrd:
                named = (part for part in rest.split() if not part.startswith("--"))
                entries[-1] = entries[-1]._replace(initrd=next(named, ""))
        elif other:
            _note(items, str(count), other)
        elif kernel and not is_hypervisor(kernel.group("kernel")):
            args = (offset + kernel.start("args"), offset + kernel.end("args"))
            file = kernel.group("kernel")
            disk = _disk_of(file, looked)[0]
            entries.append(Entry(title, "", str(max(count, 0)), file, "", number, *args, disk=disk))
        elif kopt:
            entries.append(
                Entry("kopt", "kopt", "kopt", "", "", number, offset + kopt.start("args"), offset + kopt.end("args"))
            )
    return Menu(tuple(entries), default, _others(items, entries))


# /xen.gz-2.6.18-398.el5   /boot/xen-4.17-amd64.gz   /tboot.gz      but not /vmlinuz-2.6.18-398.el5xen
def is_hypervisor(path: str) -> bool:
    """Whether a file is what starts before the kernel, which is then a module of it."""
    return path.rsplit("/", 1)[-1].startswith(("xen", "tboot"))


Span = tuple[int, int, int]  # line, start, end


class Section:
    """One kernel of a menu that has its words on lines of their own, while it is read; `spans` are its arguments."""

    def __init__(self, name: str, kernel: str, place: Span) -> None:
        self.name, self.kernel, self.initrd, self.place, self.does = name, kernel, "", place, ""
        self.spans: dict[str, Span] = {}


def _listed(sections: list[Section], common: Section) -> tuple[Entry, ...]:
    """An entry for each span of every kernel's arguments; of those that hold for all, the ones it has not itself."""
    found = []
    for count, one in enumerate(sections):
        spans = {**common.spans, **one.spans}.values() or (one.place,)
        initrd = one.initrd or common.initrd
        if one.kernel:
            found += [Entry(one.name, one.name, str(count), one.kernel, initrd, *span) for span in spans]
    return tuple(found)


def _shown(sections: list[Section]) -> tuple[Item, ...]:
    return tuple(Item(one.name, one.name, str(at), one.place[0], one.does) for at, one in enumerate(sections))


# kernel chain.c32      com32 reboot.c32      linux /memtest86+.bin      kernel memdisk
TOOLS = r"(?:.*/)?(?:(?:chain|reboot|poweroff|hdt)\.c32$|memdisk$|memtest|ipxe|.*\.lkrn$)"


def extlinux(text: str) -> Menu:
    """extlinux.conf and syslinux.cfg: `label`, `linux` or `kernel`, `append`, `initrd`, `default LABEL`.

    Where a menu is the default (`default menu.c32`), the label with `menu default` below it starts. What stands before
    the first label holds for those that say nothing of it; `append -` says that there is nothing.
    """
    common = here = Section("", "", (1, 0, 0))
    sections: list[Section] = []
    default = marked = ""
    for number, offset, line in lines_of(text):
        found = re.match(r"[ \t]*(?P<word>\w+)[ \t]+(?P<rest>\S.*)", line)
        if not found:
            continue
        word, rest, start = found.group("word").lower(), found.group("rest"), offset + found.start("rest")
        span = (number, start, offset + found.end("rest"))
        first = rest.split()[0] if rest.split() else ""
        if word in ("default", "ontimeout") and (word == "default" or not default):
            default = first
        elif word == "label":
            here = Section(rest.strip(), "", (number, span[2], span[2]))
            sections.append(here)
        elif word == "menu" and rest.strip().lower() == "default":
            marked = here.name
        elif word == "localboot" or word in ("linux", "kernel", "com32", "boot", "bss") and re.match(TOOLS, first):
            here.does = f"{word} {first}"
        elif word in ("linux", "kernel"):
            here.kernel = first
            if rest.strip() != first:
                here.spans["kernel"] = (number, start + len(first), span[2])
        elif word == "initrd":
            here.initrd = main_of(rest.split(","))
        elif word == "append":
            inside = re.search(r"initrd=(\S+)", rest)
            here.initrd = main_of(inside.group(1).split(",")) if inside else here.initrd
            here.spans["append"] = (number, span[2], span[2]) if rest.strip() == "-" else span
    names = {one.name for one in sections}
    default = marked if marked and default not in names else default
    return Menu(_listed(sections, common), default, _shown(sections))


def bls(text: str, name: str) -> Entry | None:
    """One Boot Loader Specification entry (uapi-group.org); None for one that boots no kernel."""
    title = kernel = initrd = version = ""
    line = start = end = 0
    for number, offset, text_line in lines_of(text):
        found = re.match(r"(?P<word>[a-z-]+)[ \t]+(?P<rest>.*)", text_line)
        if not found:
            continue
        word, rest = found.group("word"), found.group("rest")
        title = rest if word == "title" else title
        kernel = rest.strip() if word in ("linux", "efi", "uki") else kernel
        version = rest.strip() if word == "version" else version
        initrd = main_of([initrd, *rest.split()]) if word == "initrd" else initrd
        if word == "options":  # several lines count as one; what stands between them names no argument
            line, start, end = line or number, start or offset + found.start("rest"), offset + found.end("rest")
    # SUSE puts the number of the snapshot first, NixOS its own words: 1@6.10.5-1-default, …, Linux Kernel 6.6.41
    release = version.rpartition("@")[2].rpartition(" ")[2]
    return Entry(title, name, version, kernel, initrd, line or 1, start, end, release) if kernel else None


def main_of(names: list[str]) -> str:
    """The image with the system's drivers among several that are loaded: neither microcode nor a variable."""
    images = [one.strip() for one in names if one.strip() and not one.startswith("$")]
    return next(iter([*(one for one in images if "ucode" not in one), *images]), "")


#: Words of lilo.conf and its kin that give arguments, and those that name the initramfs.
GIVEN, INITRDS = ("root", "append", "addappend", "literal", "parameters"), ("initrd", "ramdisk")


def lilo(text: str) -> Menu:
    """lilo.conf and elilo.conf (`image=`, `label=`), zipl.conf (`[name]`): `root=`, `append=`, `parameters=`.

    What stands before the first of them holds for those that do not say otherwise.
    """
    common = here = Section("", "", (1, 0, 0))
    sections: list[Section] = []
    default, is_named = "", False
    for number, offset, line in lines_of(text):
        named = re.match(r"[ \t]*\[(?P<name>[^]\n]+)\]", line)
        found = re.match(r"[ \t]*(?P<word>[a-z-]+)[ \t]*=[ \t]*(?P<rest>.*)", line)
        word, rest = (found.group("word"), found.group("rest").strip("\"' ")) if found else ("", "")
        end = offset + len(line)
        begins = named.group("name") != "defaultboot" if named else word in ("image", "other")
        if begins and not (is_named and word == "image"):
            here = Section(named.group("name") if named else "", "", (number, end, end))
            here.does = f"other={rest}" if word == "other" else ""
            sections.append(here)
        is_named = bool(named) or is_named and word != "image"
        if word == "default":
            default = default or rest
        elif word == "image":
            here.kernel = rest
        elif word == "label":
            here.name = rest
        elif word in INITRDS:
            here.initrd = rest.partition(",")[0]
        elif word in GIVEN and found:
            quoted = found.group("rest")[:1] in "\"'" and word != "root"
            start = offset + (found.start("word") if word == "root" else found.start("rest") + quoted)
            stop = offset + found.end("rest") - (word != "root" and found.group("rest")[-1:] in "\"'")
            here.spans[word] = (number, start, max(start, stop))
    return Menu(_listed(sections, common), default, _shown(sections))
