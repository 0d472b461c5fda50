"""Licences that are bound to what identifies this machine: MAC address, host id, disk serial, a dongle."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migprep import root
from migprep.facts import selection
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Services that give licences out, and what their licences are bound to.
SERVERS = {
    "lmgrd": "FlexNet", "flexlm": "FlexNet", "flexnet": "FlexNet", "lmadmin": "FlexNet", "hasplmd": "Sentinel HASP",
    "aksusbd": "Sentinel HASP", "rlm": "Reprise RLM", "codemeter": "CodeMeter", "CodeMeter": "CodeMeter",
    "sentinel": "Sentinel RMS", "dsls": "Dassault licence server", "lmx-serv": "LM-X", "mlm": "FlexNet",
    "ansyslmd": "FlexNet", "licserv": "a licence server",
}  # fmt: skip
#: Folders in which programs have a folder of their own, and how licence files are called there.
HOMES = ("/opt", "/usr/local")
NAMES = re.compile(r"(?:licen[cs]e|lm|flex)", re.IGNORECASE)
FILE = re.compile(r"\.(?:lic|dat)$|^licen[cs]e", re.IGNORECASE)
SIZE, FILES = 256 << 10, 100
# SERVER lic1 00215acd1234 27000    FEATURE x v 1.0 … HOSTID=00215acd1234    HOSTID=DISK_SERIAL_NUM=3e2e17fd
SERVER = re.compile(r"(?mi)^\s*(?:SERVER|HOST)\s+\S+\s+(\S+)|\bHOSTID=(\"[^\"]*\"|[^\s\\]+)")


class Licence(NamedTuple):
    """One binding; `kind`: mac, hostid, disk, uuid, other."""

    path: str
    line: int
    kind: str
    value: str
    is_ours: bool = False  # a MAC address of this machine

    @property
    def subject(self) -> str:
        """The file and what it is bound to."""
        return f"{self.path}: {self.value}"

    @property
    def bound_to(self) -> str:
        """For people."""
        words = {"mac": "MAC address", "hostid": "host id", "disk": "disk serial", "uuid": "system UUID"}
        return f"{words.get(self.kind, 'host')} {self.value}"


class Server(NamedTuple):
    """A licence server that starts at boot."""

    name: str
    maker: str
    path: str


class Licences(NamedTuple):
    """What is bound, and who gives licences out."""

    bound: tuple[Licence, ...]
    servers: tuple[Server, ...]


def probe(facts: Facts) -> Licences:
    """Look at licence servers that start, and at licence files in their usual places."""
    services = facts.services
    if isinstance(services, Unknown):
        raise Undetermined(services.reason)
    servers = tuple(
        Server(name, SERVERS[stem], path)
        for name, path in services.enabled.items()
        for stem in (re.split(r"[-_@.]", name)[0] if name not in SERVERS else name,)
        if stem in SERVERS
    )
    own = _macs(facts)
    bound = []
    for number, path in enumerate(files(facts.root)):
        if number == FILES:
            break
        stat = facts.root.stat(path)
        if stat and stat.kind == "file" and stat.size <= SIZE:
            bound += list(parse(root.text(facts.root, path, SIZE) or "", path, own))
    return Licences(tuple(dict.fromkeys(bound)), servers)


def _macs(facts: Facts) -> frozenset[str]:
    interfaces = facts.interfaces
    if isinstance(interfaces, Unknown):
        return frozenset()
    return frozenset(mac for card in interfaces.devices for mac in (card.mac, card.permanent_mac) if mac)


def files(place: Root) -> Iterator[str]:
    """Licence files: /opt/x/license.dat, /opt/x/licenses/y.lic, /usr/local/flexlm/licenses/z.dat."""
    for home in HOMES:
        for product in place.names(home):
            folder = f"{home}/{product}"
            for name in place.names(folder):
                if FILE.search(name):
                    yield f"{folder}/{name}"
                if NAMES.match(name):
                    yield from (f"{folder}/{name}/{one}" for one in place.names(f"{folder}/{name}") if FILE.search(one))


def parse(text: str, path: str, own: frozenset[str] = frozenset()) -> Iterator[Licence]:
    """Bindings in a licence file of FlexNet's kind."""
    for found in SERVER.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        for value in (found.group(1) or found.group(2)).strip('"').split():
            licence = _bound(path, line, value)
            if licence:
                yield licence._replace(is_ours=licence.value in own)


def _bound(path: str, line: int, value: str) -> Licence | None:
    key, _, rest = value.rpartition("=")
    if re.fullmatch(r"(?:ETHER=)?[0-9a-fA-F]{12}", value):
        return Licence(path, line, "mac", selection.mac(":".join(re.findall("..", rest))))
    if key == "DISK_SERIAL_NUM":
        return Licence(path, line, "disk", rest)
    if key in ("VM_UUID", "UUID"):
        return Licence(path, line, "uuid", rest)
    if re.fullmatch(r"[0-9a-fA-F]{8}", value):
        return Licence(path, line, "hostid", value.lower())
    return None
