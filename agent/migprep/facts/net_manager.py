"""What NetworkManager is told of the cards that it is to leave alone, or to serve unasked: NetworkManager.conf(5)."""

from __future__ import annotations

from migprep import root
from migprep.facts.configuration import Configuration, enabled
from migprep.facts.selection import Selection, Traits, mac
from migprep.formats import ini
from migprep.root import Root
from migprep.typed import NamedTuple

#: Folders of settings; of files with one name the first folder's counts.
FOLDERS = ("/etc/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/usr/lib/NetworkManager/conf.d")
MAIN = "/etc/NetworkManager/NetworkManager.conf"
NO = ("false", "no", "0", "off")


class Unmanaged(NamedTuple):
    """One setting that keeps NetworkManager from cards."""

    path: str
    line: int
    words: tuple[str, ...]  # interface-name:eth*  driver:vmxnet3  mac:52:54:00:1a:b0:01  type:ethernet  *  except:…

    @property
    def text(self) -> str:
        """The words as they stand there."""
        return ";".join(self.words)

    def means(self, device: Traits) -> bool:
        """Whether it means `device`: one of the words does, and none after ``except:``."""
        spared = any(_fits(word[7:], device) for word in self.words if word.startswith("except:"))
        return not spared and any(_fits(word, device) for word in self.words if not word.startswith("except:"))


def _fits(word: str, device: Traits) -> bool:
    kind, _, value = word.partition(":")
    if word == "*":
        return True
    if kind == "interface-name":
        return Selection(names=(value.lstrip("=~"),)).means(device)
    if kind == "driver":
        return Selection(drivers=(value.partition("/")[0],)).means(device)
    if kind == "type":
        return value == ("ethernet" if device.kind == "ether" else device.kind)
    asked = mac(value if kind == "mac" else word)
    return bool(asked) and asked in (device.mac, device.permanent_mac)


class Manager(NamedTuple):
    """NetworkManager's settings that decide about cards."""

    starts: bool = False
    serves_any: bool = False  # it gives an address to a card that no profile is for
    yields_to_ifupdown: bool = False
    unmanaged: tuple[Unmanaged, ...] = ()

    def leaves(self, device: Traits, others: tuple[Configuration, ...]) -> bool:
        """Whether it leaves a card alone that it has a profile for, or leaves it to ifupdown."""
        if not any(one.tool == "networkmanager" for one in others):
            return False
        if self.yields_to_ifupdown and any(one.tool == "ifupdown" for one in others):
            return True
        return any(one.means(device) for one in self.unmanaged)


def read(tree: Root) -> Manager:
    """The settings, or those of one that does not start."""
    if not tree.names("/etc/NetworkManager") or not enabled(tree, "NetworkManager.service"):
        return Manager()
    files = [(path, ini.parse(root.text(tree, path) or "", continues=False)) for path in _files(tree)]
    lines = tuple(line for _, each in files for line in each)
    managed = ini.value(lines, "ifupdown", "managed").lower() in ("true", "yes", "1", "on")
    return Manager(
        starts=True,
        serves_any="*" not in _words(ini.value(lines, "main", "no-auto-default")),
        yields_to_ifupdown="ifupdown" in ini.value(lines, "main", "plugins") and not managed,
        unmanaged=tuple(_unmanaged(files)),
    )


def _files(tree: Root) -> list[str]:
    named: dict[str, str] = {}
    for folder in FOLDERS:
        for name in tree.names(folder):
            if name.endswith(".conf"):
                named.setdefault(name, f"{folder}/{name}")
    shipped = [named[name] for name in sorted(named) if named[name].startswith("/usr/")]
    return [*shipped, MAIN, *(named[name] for name in sorted(named) if not named[name].startswith("/usr/"))]


# [keyfile]                                      [device-lan]
# unmanaged-devices=*,except:interface-name:ens3   match-device=driver:vmxnet3
#                                                  managed=0
def _unmanaged(files: list[tuple[str, tuple[ini.Line, ...]]]) -> list[Unmanaged]:
    last: list[Unmanaged] = []
    found: list[Unmanaged] = []
    for path, lines in files:
        for line in lines:
            if line.section == "keyfile" and line.key == "unmanaged-devices":
                last = [Unmanaged(path, line.number, _words(line.value))]
        for section in dict.fromkeys(line.section for line in lines if line.section.startswith("device")):
            if ini.value(lines, section, "managed").lower() in NO:
                at = next((line for line in lines if line.section == section and line.key == "match-device"), None)
                found.append(Unmanaged(path, at.number, _words(at.value)) if at else Unmanaged(path, 1, ("*",)))
    return last + found


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.replace(",", ";").split(";") if word.strip())
