"""What only the running kernel can tell, asked live or read from a capture; nothing is imported before it is needed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Callable

from migprep.model import Undetermined
from migprep.root import Root, Unreadable, read
from migprep.witness import fingerprint

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Where a capture keeps what was observed when it was made.
FOLDER = "/migprep/observed"
#: Names of file systems whose server may be gone: asking for their usage could hang for ever.
REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "afs", "ncpfs", "autofs", "davfs"})


def observed(root: Root, name: str) -> Any:
    """What the running machine says about `name` (one of NAMES), as JSON values.

    Raises Undetermined where it cannot be told: no capture of it, or a module that is not installed.
    """
    if root.live:
        return ASKED[name]()
    content = read(root, f"{FOLDER}/{name}.json")
    if content is None:
        raise Undetermined(f"only the running machine can tell its {name}")
    import json

    try:
        return json.loads(content)
    except ValueError as error:
        raise Undetermined(f"{FOLDER}/{name}.json: {error}") from None


#: What changes in /proc whenever an address or a route does (proc_pid_net(5)).
TABLES = tuple(f"/proc/net/{name}" for name in ("route", "ipv6_route", "fib_trie", "if_inet6"))


def remembered(facts: Facts, name: str) -> Any:
    """`observed` of addresses or gateways, kept while the kernel's tables stay as they are.

    Asking means importing psutil or netifaces, which costs more than all rules together.
    """
    if not facts.root.live or facts.cache is None:
        return observed(facts.root, name)
    try:
        identity = [
            *(fingerprint(path, read(facts.root, path) or b"") for path in TABLES),
            facts.root.names("/sys/class/net"),
        ]
    except Unreadable:
        return observed(facts.root, name)
    known = facts.cache.get(f"observed/{name}", identity)
    if known is None:
        known = observed(facts.root, name)
        facts.cache.put(f"observed/{name}", identity, known)
    return known


def _module(name: str, distribution: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Undetermined(f"the Python module {distribution} is not installed ({error})") from None


def network() -> dict[str, Any]:
    """{interface: {addresses: ["10.0.0.5/24"], up, mtu, speed}}; `speed` in Mbit/s, 0 when unknown."""
    import socket

    psutil = _module("psutil", "psutil")
    stats = psutil.net_if_stats()
    found: dict[str, Any] = {}
    for name, addresses in sorted(psutil.net_if_addrs().items()):
        state = stats.get(name)
        found[name] = {
            "addresses": [
                f"{one.address.split('%')[0]}/{prefix_length(one.netmask)}"
                for one in addresses
                if one.family in (socket.AF_INET, socket.AF_INET6)
            ],
            "up": bool(state and state.isup),
            "mtu": state.mtu if state else 0,
            "speed": state.speed if state else 0,
        }
    return found


def prefix_length(netmask: str | None) -> int:
    """24 for 255.255.255.0, 64 for ffff:ffff:ffff:ffff::; a mask that is missing means one host."""
    if not netmask:
        return 32
    import socket

    family = socket.AF_INET6 if ":" in netmask else socket.AF_INET
    return sum(bin(byte).count("1") for byte in socket.inet_pton(family, netmask.split("%")[0].split("/")[0]))


def gateways() -> list[dict[str, str]]:
    """Default gateways: [{address, interface}], IPv4 first."""
    netifaces = _module("netifaces", "netifaces (netifaces2 on PyPI)")
    known = netifaces.gateways()
    found = []
    for family in (netifaces.AF_INET, netifaces.AF_INET6):
        for entry in known.get(family, ()):
            one = {"address": str(entry[0]), "interface": str(entry[1])}
            if one not in found:
                found.append(one)
    return found


def resources() -> dict[str, Any]:
    """Memory and swap in bytes, processors, and the usage in bytes of every local file system."""
    psutil = _module("psutil", "psutil")
    disks = {}
    for part in psutil.disk_partitions(all=False):
        if part.fstype in REMOTE or part.fstype.startswith("fuse"):
            continue
        try:
            usage = psutil.disk_usage(part.mountpoint)
        except OSError:
            continue
        disks[part.mountpoint] = {"device": part.device, "total": usage.total, "free": usage.free}
    return {
        "memory": psutil.virtual_memory().total,
        "swap": psutil.swap_memory().total,
        "processors": psutil.cpu_count() or 0,
        "disks": disks,
    }


def processes() -> list[str]:
    """Names of the running processes, each once, sorted; never their arguments, which may hold secrets."""
    psutil = _module("psutil", "psutil")
    return sorted({one.info["name"] or "" for one in psutil.process_iter(["name"])})


ASKED: dict[str, Callable[[], Any]] = {
    "network": network,
    "gateways": gateways,
    "resources": resources,
    "processes": processes,
}
#: Everything that can be observed; a capture keeps each in its own file.
NAMES = tuple(ASKED)
