"""High availability: which agents cut off a node, and what says that other machines write to the same disks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migprep import root
from migprep.formats import columns
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Where Pacemaker keeps its configuration, and the older cman.
FILES = ("/var/lib/pacemaker/cib/cib.xml", "/var/lib/heartbeat/crm/cib.xml", "/etc/cluster/cluster.conf")
# <primitive id="fence1" class="stonith" type="fence_vmware_soap">   <fencedevice agent="fence_ilo4" …/>
AGENT = re.compile(
    r"class=\"stonith\"[^>]*\btype=\"([\w/.-]+)\"|\btype=\"([\w/.-]+)\"[^>]*class=\"stonith\"|\bagent=\"(fence_[\w-]+)\""
)
# <nvpair id="cib-bootstrap-options-stonith-enabled" name="stonith-enabled" value="false"/>
OFF = re.compile(r"<nvpair\b(?=[^>]{0,500}\bname=\"stonith-enabled\")[^>]{0,500}\bvalue=\"(?i:false|no|off|n|0)\"")
#: Agents that ask a hypervisor or cloud, by how their names begin; the platform as targets say it.
PLATFORMS = (
    ("fence_vmware", "vmware"), ("external/vcenter", "vmware"), ("fence_xvm", "kvm"), ("fence_virt", "kvm"),
    ("external/libvirt", "kvm"), ("external/xen", "xen"), ("fence_aws", "amazon"), ("external/ec2", "amazon"),
    ("fence_azure", "microsoft"), ("fence_gce", "google"), ("fence_ibm", "ibm"), ("fence_aliyun", "alibaba"),
    ("fence_rhevm", "kvm"), ("fence_evacuate", "kvm"), ("fence_pve", "kvm"), ("fence_ovh", "ovh"),
)  # fmt: skip
#: Agents that cut the power of a board or a socket.
BOARDS = (
    "fence_ilo", "fence_ipmi", "fence_drac", "fence_idrac", "fence_imm", "fence_rsa", "fence_rsb", "fence_apc",
    "fence_eaton", "fence_bladecenter", "fence_cisco", "fence_hpblade", "fence_redfish", "fence_intelmodular",
    "fence_ipdu", "fence_wti", "fence_lpar", "fence_amt", "external/ipmi", "external/ilo", "external/drac",
    "external/riloe", "external/ibmrsa", "external/rackpdu", "external/hmchttp", "external/hetzner", "ipmilan",
)  # fmt: skip


class Fence(NamedTuple):
    """One fencing agent; `platform` is what it asks, "" for hardware."""

    agent: str
    path: str
    line: int
    platform: str

    def works_on(self, platform: str) -> bool:
        """Whether it can still cut a node off when the nodes are machines of `platform`."""
        return bool(self.platform) and self.platform == platform


class Shared(NamedTuple):
    """One sign that a disk is written to by several machines."""

    path: str
    line: int
    text: str
    what: str


class Cluster(NamedTuple):
    """What cuts off a node that does not answer, and which disks the nodes share."""

    fences: tuple[Fence, ...]
    shared: tuple[Shared, ...] = ()


def probe(facts: Facts) -> Cluster:
    """Read the names of fencing agents, and nothing else, from FILES. Raises Unreadable."""
    found: dict[str, Fence] = {}
    for path in FILES:
        text = root.text(facts.root, path) or ""
        for match in () if OFF.search(text) else AGENT.finditer(text):
            agent = next(group for group in match.groups() if group)
            platform = next((name for sign, name in PLATFORMS if agent.startswith(sign)), "")
            if platform or agent.startswith(BOARDS):
                line = text.count("\n", 0, match.start()) + 1
                found.setdefault(agent, Fence(agent, path, line, platform))
    return Cluster(tuple(found.values()), tuple(shared(facts)))


#: Filesystems that several machines mount from one disk.
FILESYSTEMS = frozenset({"ocfs2", "gfs", "gfs2", "gpfs", "cvfs", "acfs"})
# SBD_DEVICE="/dev/disk/by-id/scsi-1LIO-ORG_sbd;/dev/disk/by-id/scsi-1LIO-ORG_sbd2"
SBD = (r"^[ \t]*SBD_DEVICE=[\"']?(?=/)", "nodes are cut off through messages on a disk that all have")
LOCKED = r"^[ \t]*(?:use_lvmlockd[ \t]*=[ \t]*1|locking_type[ \t]*=[ \t]*3)\b"
RESERVES = (r"\bfence_(?:scsi|mpath)\b", "SCSI reservations cut off the other nodes")
#: (file, setting, what it means) of what is kept on, or said to, a disk that several machines have.
SIGNS = (
    ("/etc/sysconfig/sbd", *SBD),
    ("/etc/default/sbd", *SBD),
    ("/etc/lvm/lvm.conf", LOCKED, "a volume group may be shared"),
    ("/etc/multipath.conf", r"^[ \t]*reservation_key[ \t]+\S", "SCSI reservations guard a disk that others have too"),
    *((path, *RESERVES) for path in FILES),
)


def shared(facts: Facts) -> Iterator[Shared]:
    """Shared filesystems in fstab, the settings of SIGNS, and the first finding of each. Raises Unreadable."""
    for line in columns.parse(root.text(facts.root, "/etc/fstab") or ""):
        fields = line.fields
        if len(fields) > 2 and fields[2] in FILESYSTEMS:
            what = f"{fields[1]} is a filesystem of several machines"
            yield Shared("/etc/fstab", line.number, line.raw.strip(), what)
    for path, sign, what in SIGNS:
        text = root.text(facts.root, path) or ""
        found = re.search(sign, text, re.MULTILINE)
        if found:
            start, end = text.rfind("\n", 0, found.start()) + 1, text.find("\n", found.end())
            words = found.group() if path in FILES else text[start : end if end >= 0 else None]
            yield Shared(path, text.count("\n", 0, found.start()) + 1, words.strip(), what)
