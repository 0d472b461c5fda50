"""What only the running kernel can tell, asked live or read from a capture; nothing is imported before it is needed."""

from __future__ import annotations

import importlib

from migprep.model import Undetermined
from migprep.root import Root, Unreadable, read
from migprep.typed import TYPE_CHECKING, Any, Callable
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


def beginning(path: str, limit: int) -> bytes:
    """The first bytes of a block device, only read. Raises Undetermined where that is not allowed."""
    import os
    import stat

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise Undetermined(f"{path}: {(error.strerror or str(error)).lower()}") from None
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        if not stat.S_ISBLK(os.fstat(descriptor).st_mode):
            raise Undetermined(f"{path} is not a block device")
        try:
            return stream.read(limit)
        except OSError as error:
            raise Undetermined(f"{path}: {(error.strerror or str(error)).lower()}") from None


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
    """Default gateways: [{address, interface}], IPv4 first; without netifaces as the kernel's tables tell them."""
    try:
        netifaces = importlib.import_module("netifaces")
    except ImportError:
        return [*routed(_table("route")), *routed6(_table("ipv6_route"))]
    known = netifaces.gateways()
    found = []
    for family in (netifaces.AF_INET, netifaces.AF_INET6):
        for entry in known.get(family, ()):
            one = {"address": str(entry[0]), "interface": str(entry[1])}
            if one not in found:
                found.append(one)
    return found


#: Flags of a route (route.h): it leads to a gateway; it only refuses.
GATEWAY, REJECT = 0x2, 0x200


def _table(name: str) -> str:
    path = f"/proc/net/{name}"
    try:
        with open(path, "rb") as stream:
            return stream.read(1 << 20).decode("ascii", "replace")
    except FileNotFoundError:  # a kernel without this protocol
        return ""
    except OSError as error:
        raise Undetermined(f"{path}: {error.strerror}") from None


# Iface  Destination  Gateway   Flags  RefCnt  Use  Metric  Mask      MTU  Window  IRTT
# eth0   00000000     0202000A  0003   0       0    0       00000000  0    0       0
def routed(table: str) -> list[dict[str, str]]:
    """Default gateways of /proc/net/route (proc_pid_net(5)): addresses as the kernel's own numbers, in hexadecimal."""
    import socket
    import sys

    found = []
    for row in (line.split() for line in table.split("\n")[1:]):
        if len(row) > 7 and row[1] == row[7] == "00000000" and int(row[3], 16) & GATEWAY:
            address = socket.inet_ntoa(int(row[2], 16).to_bytes(4, sys.byteorder))
            found.append({"address": address, "interface": row[0]})
    return _each_once(found)


# 0000… 00 0000… 00 fe80000000000000…0001 00000400 00000001 00000000 00000003     eth0
def routed6(table: str) -> list[dict[str, str]]:
    """Default gateways of /proc/net/ipv6_route: addresses in network order."""
    import socket

    found = []
    for row in (line.split() for line in table.split("\n")):
        if len(row) > 9 and row[0] == "0" * 32 and row[1] == "00" and int(row[8], 16) & (GATEWAY | REJECT) == GATEWAY:
            address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(row[4]))
            found.append({"address": address, "interface": row[9]})
    return _each_once(found)


def _each_once(found: list[dict[str, str]]) -> list[dict[str, str]]:
    return [one for number, one in enumerate(found) if one not in found[:number]]


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


def immutable() -> list[str]:
    """Files of the network that nobody can write, not even root: chattr(1)'s i (FS_IOC_GETFLAGS, ioctl_iflags(2))."""
    import fcntl
    import os
    import struct

    found = []
    for path in ("/etc/resolv.conf",):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            flags = fcntl.ioctl(descriptor, 0x80086601, bytes(8))
            if struct.unpack("l", flags[: struct.calcsize("l")])[0] & 0x10:
                found.append(path)
        except OSError:
            pass  # this file system knows no such flags
        finally:
            os.close(descriptor)
    return found


def room() -> dict[str, int]:
    """Bytes and files that root may still put into /boot; files are -1 where the file system counts none."""
    import os

    try:
        found = os.statvfs("/boot")
    except OSError as error:
        raise Undetermined(f"/boot: {error.strerror}") from None
    return {"bytes": found.f_bfree * found.f_frsize, "files": found.f_ffree if found.f_files else -1}


def chroot() -> bool:
    """Whether process 1 has another root than we have; False where that may not be asked."""
    import os

    try:
        return not os.path.samestat(os.stat("/"), os.stat("/proc/1/root/"))
    except OSError:
        return False


ASKED: dict[str, Callable[[], Any]] = {
    "network": network,
    "gateways": gateways,
    "resources": resources,
    "processes": processes,
    "immutable": immutable,
    "room": room,
    "chroot": chroot,
}
#: Everything that can be observed; a capture keeps each in its own file.
NAMES = tuple(ASKED)
