"""udev's rules that name network devices and disks, and systemd's .link files, in the order in which they count."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from migprep import root
from migprep.facts import conditions, selection
from migprep.facts.conditions import Condition
from migprep.facts.selection import Selection, Traits
from migprep.formats import ini
from migprep.formats.stanzas import split
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Folders of configuration, the first one wins (udev(7), systemd.link(5)).
PREFIXES = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")

# SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="52:54:00:1a:b0:01", NAME="eth0"
# SUBSYSTEM=="net", ACTION=="add", KERNELS=="0000:02:01.0", ATTR{type}=="1", KERNEL=="eth*", NAME="eth1"
TOKEN = re.compile(r'([A-Z_]+)(?:\{([^}]*)\})?\s*(==|!=|\+=|-=|:=|=)\s*[ei]?"((?:[^"\\]|\\.)*)"')

#: Keys that tie a rule to the place of a card: the bus address, the sysfs path, udev's path.
PLACES = frozenset(
    {"KERNELS", "ID", "DEVPATH", "ENV{ID_PATH}", "ENV{ID_PATH_TAG}", "ENV{ID_NET_NAME_SLOT}", "ENV{ID_NET_NAME_PATH}"}
)

#: What ties a rule to one disk, its maker or its way to the machine: none of it is on the target.
HARDWARE = re.compile(
    r"(?:ENV\{(?:ID_SERIAL(?:_SHORT)?|ID_PATH|ID_WWN\w*|ID_SCSI_SERIAL|ID_MODEL)\}|RESULT|ATTRS?\{(?:serial|model|wwid)\}"
    r"|KERNELS)[ \t]*==[ \t]*\"(?!\"|\*\"|\?\*\")"
)
# SYMLINK+="oracleasm/data%n"   SYMLINK+="$env{ID_NAME}"
SUBSTITUTION = re.compile(r"%n|\$number|%[a-zA-Z](?:\{[^}]*\})?|\$[a-z]+(?:\{[^}]*\})?")


class Token(NamedTuple):
    """One comparison or assignment; `key` is ``ATTR{address}`` or ``NAME``."""

    key: str
    operator: str
    value: str


class Rule(NamedTuple):
    """One rule of a file; `raw` is its logical line with its end."""

    path: str
    line: int
    raw: str
    tokens: tuple[Token, ...]

    def asked(self, *keys: str) -> tuple[str, ...]:
        """Values that one of `keys` is compared with."""
        return tuple(token.value for token in self.tokens if token.key in keys and token.operator == "==")

    @property
    def is_net(self) -> bool:
        """Whether it can be about network devices."""
        return all("net" in one.split("|") for one in self.asked("SUBSYSTEM", "SUBSYSTEMS"))

    @property
    def name(self) -> str:
        """The name that it gives, "" when it gives none or a computed one."""
        for token in self.tokens:
            if token.key == "NAME" and token.operator in ("=", ":="):
                return "" if "$" in token.value or "%" in token.value else token.value
        return ""

    @property
    def macs(self) -> tuple[str, ...]:
        """The addresses of which it asks for one, in the kernel's form."""
        asked = self.asked("ATTR{address}", "ATTRS{address}", "SYSFS{address}")[:1]
        return tuple(filter(None, (selection.mac(word) for value in asked for word in value.split("|"))))

    @property
    def mac(self) -> str:
        """The first address that it asks for; "" for none."""
        return next(iter(self.macs), "")

    @property
    def is_slot_bound(self) -> bool:
        """Whether it asks for the place of the card."""
        return any(t.key in PLACES and t.operator == "==" and t.value.strip("*?") for t in self.tokens)

    @property
    def place(self) -> str:
        """The place it asks for, as written."""
        return ", ".join(f'{t.key}=="{t.value}"' for t in self.tokens if t.key in PLACES and t.operator == "==")

    @property
    def drivers(self) -> tuple[str, ...]:
        """Drivers that it asks for; () when any will do."""
        asked = self.asked("DRIVERS", "DRIVER", "ENV{ID_NET_DRIVER}")
        return tuple(word for one in asked for word in one.split("|") if word.strip("?*"))

    @property
    def is_by_hardware(self) -> bool:
        """Whether it asks for a serial number, a model or a place."""
        return bool(HARDWARE.search(self.raw))

    def makes(self, link: str) -> bool:
        """Whether it gives a disk this name below /dev."""
        given = (t.value for t in self.tokens if t.key in ("SYMLINK", "NAME") and t.operator in ("=", "+=", ":="))
        return any(_pattern(name).fullmatch(link) for value in given for name in value.split())

    def takes(self, drivers: Iterable[str]) -> bool:
        """Whether it holds for a card with one of `drivers` (each ``a`` or ``a|b``)."""
        return Selection(drivers=self.drivers).allows_driver(drivers)

    def means(self, device: Traits) -> bool:
        """Whether it names `device` by its address now; udev compares addresses letter by letter."""
        addresses = self.asked("ATTR{address}", "ATTRS{address}", "SYSFS{address}")
        return bool(addresses) and all(
            any(_fits(value, have) for have in (device.mac, device.permanent_mac) if have) for value in addresses
        )


def with_address(line: str, mac: str) -> str:
    """A rule's line asking for an address where it asked for the place of the card, and for no driver by name."""
    addressed = "ATTR{address}" in line

    def changed(found: re.Match[str]) -> str:
        nonlocal addressed
        key = f"{found.group(1)}{{{found.group(2)}}}" if found.group(2) else found.group(1)
        if key in ("DRIVERS", "DRIVER", "ENV{ID_NET_DRIVER}") and found.group(3) == "==":
            return 'DRIVERS=="?*"'
        if key not in PLACES or found.group(3) != "==" or not found.group(4).strip("*?"):
            return found.group()
        if addressed:
            return 'DRIVERS=="?*"'
        addressed = True
        return f'ATTR{{address}}=="{mac}"'

    return TOKEN.sub(changed, line)


def _pattern(name: str) -> re.Pattern[str]:
    """What a name with udev's substitutions may become."""
    text, at = "", 0
    for found in SUBSTITUTION.finditer(name):
        text += re.escape(name[at : found.start()]) + (r"\d*" if found.group() in ("%n", "$number") else r"[^/\s]+")
        at = found.end()
    return re.compile(text + re.escape(name[at:]))


def _fits(pattern: str, value: str) -> bool:
    return any(fnmatchcase(value, one) for one in pattern.split("|"))


def parse(text: str, path: str) -> tuple[Rule, ...]:
    """Rules of one file; comments, blanks and labels stay inside `raw` of no rule."""
    found = []
    raw, first, number = "", 1, 0
    for piece in split(text):
        number += 1
        if not raw:
            first = number
        raw += piece
        if piece.rstrip("\r\n").endswith("\\") and not raw.lstrip().startswith("#"):
            continue
        found += _rule(path, first, raw)
        raw = ""
    return tuple(found + _rule(path, first, raw))


def _rule(path: str, line: int, raw: str) -> list[Rule]:
    if not raw.strip() or raw.lstrip().startswith("#"):
        return []
    tokens = tuple(
        Token(f"{key}{{{part}}}" if part else key, operator, value)
        for key, part, operator, value in TOKEN.findall(raw.replace("\\\n", " "))
    )
    return [Rule(path, line, raw, tokens)] if tokens else []


class LinkFile(NamedTuple):
    """One .link file with its drop-ins; `lines` are those of its sections."""

    path: str
    selection: Selection
    lines: tuple[ini.Line, ...]
    conditions: tuple[Condition, ...] = ()  # on the machine

    @property
    def has_drop_ins(self) -> bool:
        """Whether some of its lines stand in other files."""
        numbers = [line.number for line in self.lines]
        return numbers != sorted(numbers)

    @property
    def name(self) -> str:
        """The name that it gives, "" for none."""
        return ini.value(self.lines, "Link", "Name")

    @property
    def line(self) -> int:
        """Where it gives the name."""
        return next((line.number for line in self.lines if line.section == "Link" and line.key == "Name"), 0)

    @property
    def policies(self) -> tuple[str, ...]:
        """NamePolicy= in order."""
        return tuple(word for value in ini.values(self.lines, "Link", "NamePolicy") for word in value.split())

    @property
    def kept(self) -> tuple[str, ...]:
        """What else it sets for a device: a .link file that matches earlier hides all of this."""
        hidden = ("Name", "NamePolicy", "Description")
        return tuple(
            f"{line.key}={line.value}"
            for line in self.lines
            if line.section == "Link" and line.key and line.key not in hidden
        )


class Udev(NamedTuple):
    """Rules of /etc and /run that name devices; all .link files in the order in which they are tried."""

    net_rules: tuple[Rule, ...]
    storage_rules: tuple[Rule, ...]
    links: tuple[LinkFile, ...]
    rule_files: tuple[str, ...]  # names of the rule files in force, of every folder
    version: int  # of systemd; 0 where it cannot be told

    @property
    def names_by_place(self) -> bool:
        """Whether systemd's names after the place of a card (enp1s0, ens3) are given at all."""
        if "80-net-setup-link.rules" in self.rule_files:
            return any({"onboard", "slot", "path"} & set(link.policies) for link in self.links)
        return "80-net-name-slot.rules" in self.rule_files

    @property
    def generates_rules(self) -> bool:
        """Whether every new card gets a rule of its own, and the next free name (udev before version 197)."""
        return any(name.endswith("persistent-net-generator.rules") for name in self.rule_files)

    @property
    def naming_rules(self) -> tuple[Rule, ...]:
        """Network rules that give a name."""
        return tuple(rule for rule in self.net_rules if rule.name)

    def makers(self, path: str) -> tuple[Rule, ...]:
        """The rules that give a disk this name (/dev/oracleasm/data1)."""
        link = path[len("/dev/") :] if path.startswith("/dev/") else ""
        return tuple(rule for rule in self.storage_rules if link and rule.makes(link))

    def without(self, text: str, rules: Iterable[Rule]) -> str:
        """A rule file's `text` without `rules`; comments and all other lines stay."""
        gone = {rule.line + more for rule in rules for more in range(max(1, rule.raw.count("\n")))}
        return "".join(line for number, line in enumerate(split(text), 1) if number not in gone)

    def link_of(self, device: Traits) -> tuple[LinkFile, ...]:
        """The one .link file that counts for `device`, or ()."""
        meant = (link for link in self.links if link.selection.means(device))
        return next(((link,) for link in meant if conditions.now(link.conditions)), ())

    def links_elsewhere(self, device: Traits) -> tuple[LinkFile, ...]:
        """Those that would count before it on a machine for which they are meant, and this is none."""
        own = self.link_of(device)
        earlier = self.links[: self.links.index(own[0])] if own else self.links
        return tuple(link for link in earlier if link.selection.means(device))


def units(tree: Root, folder: str, suffix: str) -> list[tuple[str, tuple[ini.Line, ...]]]:
    """(path, lines) of systemd's files below `folder`, in order; masked ones left out, drop-ins added."""
    found = []
    for name, path in effective(tree, folder, suffix).items():
        content = _content(tree, path)
        if not content.strip():
            continue
        lines = ini.parse(content)
        for drop_in in effective(tree, f"{folder}/{name}.d", ".conf").values():
            lines += ini.parse(_content(tree, drop_in))
        found.append((path, lines))
    return found


def _content(tree: Root, path: str) -> str:
    return "" if root.real(tree, path) == "/dev/null" else root.text(tree, path) or ""


def effective(tree: Root, folder: str, suffix: str) -> dict[str, str]:
    """{name: path} of the files that count, sorted by name: of equal names the first folder's."""
    found: dict[str, str] = {}
    for prefix in PREFIXES:
        for name in tree.names(f"{prefix}/{folder}"):
            if name.endswith(suffix):
                found.setdefault(name, f"{prefix}/{folder}/{name}")
    return dict(sorted(found.items()))


# /usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so  libsystemd-shared-252-32.el9.so
LIBRARY = re.compile(r"libsystemd-shared-(\d+)\D")


def systemd_version(tree: Root) -> int:
    """The version of systemd by its own library's name (since 231), 0 where there is none."""
    folders = ["/usr/lib/systemd", "/lib/systemd"]
    folders += [
        f"/usr/lib/{name}/systemd"
        for name in tree.names("/usr/lib")
        if name.endswith(("-linux-gnu", "-linux-gnueabihf"))
    ]
    versions = [
        int(found.group(1))
        for folder in folders
        for name in tree.names(folder)
        for found in [LIBRARY.match(name)]
        if found
    ]
    return max(versions, default=0)


def probe(facts: Facts) -> Udev:
    """Read the rules and .link files; a rule file linked to /dev/null is none."""
    tree = facts.root
    files = {
        name: path
        for name, path in effective(tree, "udev/rules.d", ".rules").items()
        if root.real(tree, path) != "/dev/null"
    }
    own = [path for path in files.values() if path.startswith(("/etc/", "/run/"))]
    rules = [rule for path in own for rule in parse(root.text(tree, path) or "", path)]
    return Udev(
        net_rules=tuple(rule for rule in rules if rule.is_net and _is_about_net(rule)),
        storage_rules=tuple(rule for rule in rules if _is_about_storage(rule)),
        links=tuple(
            LinkFile(path, selection.of_match_section(lines), lines, conditions.of_match(tree, path, lines))
            for path, lines in units(tree, "systemd/network", ".link")
        ),
        rule_files=tuple(files),
        version=systemd_version(tree),
    )


def _is_about_net(rule: Rule) -> bool:
    return bool(rule.asked("SUBSYSTEM", "SUBSYSTEMS")) or (bool(rule.mac) and bool(rule.name))


def _is_about_storage(rule: Rule) -> bool:
    names = any(token.key in ("SYMLINK", "NAME") and token.operator != "==" for token in rule.tokens)
    return (
        names
        and all(one in ("block", "scsi", "nvme") for one in rule.asked("SUBSYSTEM", "SUBSYSTEMS"))
        and not rule.mac
    )
