"""udev's rules that name network devices and disks, and systemd's .link files, in the order in which they count."""

from __future__ import annotations

import re
from collections.abc import Iterable

from migprep import root
from migprep.facts import conditions, selection
from migprep.facts.conditions import Condition
from migprep.facts.selection import Selection, Traits
from migprep.facts.udev_rules import Rule, parse
from migprep.formats import ini
from migprep.formats.stanzas import split
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Folders of configuration, the first one wins (udev(7), systemd.link(5)).
PREFIXES = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")


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
    disk_rules: tuple[Rule, ...] | Unknown  # those that know a disk by its hardware
    named_rules: tuple[Rule, ...] | Unknown  # those that give disks called so and so a name or an owner
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

    def lost_on(self, prefix: str) -> tuple[Rule, ...]:
        """Rules that give disks a name or an owner, where no rule does just that for disks called `prefix`.

        Raises Undetermined.
        """
        if isinstance(self.named_rules, Unknown):
            raise Undetermined(self.named_rules.reason)
        held = {rule.gifts for rule in self.named_rules if rule.holds_on(prefix)}
        return tuple(rule for rule in self.named_rules if not rule.holds_on(prefix) and rule.gifts not in held)

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
    if root.is_dir(tree, "/etc"):
        hardware: tuple[Rule, ...] | Unknown = tuple(one for one in rules if _is_by_hardware(one))
        named: tuple[Rule, ...] | Unknown = tuple(one for one in rules if _is_by_name(one))
    else:
        hardware = named = Unknown("no /etc")
    return Udev(
        net_rules=tuple(rule for rule in rules if rule.is_net and _is_about_net(rule)),
        storage_rules=tuple(rule for rule in rules if _is_about_storage(rule)),
        disk_rules=hardware,
        named_rules=named,
        links=tuple(
            LinkFile(path, selection.of_match_section(lines), lines, conditions.of_match(tree, path, lines))
            for path, lines in units(tree, "systemd/network", ".link")
        ),
        rule_files=tuple(files),
        version=systemd_version(tree),
    )


def _is_about_net(rule: Rule) -> bool:
    return bool(rule.asked("SUBSYSTEM", "SUBSYSTEMS")) or (bool(rule.mac) and bool(rule.name))


def _is_by_hardware(rule: Rule) -> bool:
    """Whether somebody wrote it for a disk of this machine; for cards and CD drives udev itself writes such rules."""
    if not (rule.is_about_disks and rule.is_by_hardware):
        return False
    return "persistent-net" not in rule.path and "persistent-cd" not in rule.path


def _is_by_name(rule: Rule) -> bool:
    asked = rule.names or rule.maps or rule.is_of_paths
    return bool(asked and rule.gifts) and not (rule.is_by_hardware or rule.is_of_sticks)


def _is_about_storage(rule: Rule) -> bool:
    names = any(token.key in ("SYMLINK", "NAME") and token.operator != "==" for token in rule.tokens)
    return (
        names
        and all(one in ("block", "scsi", "nvme") for one in rule.asked("SUBSYSTEM", "SUBSYSTEMS"))
        and not rule.mac
    )
