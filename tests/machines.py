"""Small machines in memory, and rules over them, for tests of what lies above facts and rules."""

from __future__ import annotations

from typing import Any

from migprep import rules, targets
from migprep.facts import Facts
from migprep.model import Evidence, Finding, Mend, Phase, Result, Safety, Severity, Status, Waiver
from migprep.report import document
from migprep.root import Files
from migprep.rules import Rule
from migprep.targets import Target

FIX = Mend("Mount it by filesystem UUID", Safety.SAFE, Phase.PREPARE)


def rule(name: str, severity: str = "blocker", link: str = "mounts", **members: Any) -> Rule:
    """A rule that is written down but never judged here."""
    content: dict[str, Any] = {
        "id": name, "title": f"Title of {name}", "severity": severity, "link": link, "needs": ["fstab"],
        "why": "Because.\n", "when": "fstab", "subject": "s", "message": "m",
        "evidence": {"path": "/etc/fstab", "observed": "a", "expected": "b"},
    }  # fmt: skip
    if severity == "blocker":
        content["blocks"] = "boot"
    return rules.parse({**content, **members}, "test")


def finding(name: str, subject: str = "/data", **members: Any) -> Finding:
    """One finding in line 7 of fstab."""
    evidence = Evidence(
        "/etc/fstab", 7, "/dev/sdb1 /data ext4 defaults 0 2", "UUID=0a1b2c3d-1111-2222-3333-444455556666"
    )
    return Finding(name, subject, f"{subject} is mounted from /dev/sdb1", (evidence,))._replace(**members)


def fails(name: str, target: str, *findings: Finding) -> Result:
    """A failing result."""
    return Result(name, target, Status.FAIL, "", findings or (finding(name),))


def known_target(name: str = "kvm") -> Target:
    """A shipped target."""
    return targets.load()[name]


RULES = (
    rule("arguments/volatile-root", link="kernel arguments"),
    rule("cpu/bound-module", "low", "services"),
    rule(
        "fstab/volatile-device-name",
        symptom="A start job is running for /dev/sdb1\nDependency failed for /data",
        by_hand={"debian": "Run blkid /dev/sdb1, then write UUID=... instead of /dev/sdb1.", "redhat": "Same."},
    ),
    rule("initramfs/driver-missing", link="initramfs"),
    rule("initramfs/other", link="initramfs"),
    rule("network/static-address", "high", "network"),
    rule("storage/fine", link="storage stack"),
)


def results(target: str) -> tuple[Result, ...]:
    """Something of everything, for RULES."""
    image = "/boot/initrd.img-6.1.0-18-amd64: the image is damaged (zstd stream ends early)"
    many = tuple(
        finding(
            "cpu/bound-module",
            f"module{number:02}",
            evidence=(Evidence("/etc/modules", number + 1, f"module{number:02}", ""),),
        )
        for number in range(15)
    )
    waived = finding("network/static-address", "eth1")._replace(
        message="eth1 has the address 192.0.2.2/24", waiver=Waiver("the VLAN moves along", "2027-01-31")
    )
    static = finding("network/static-address", "eth0")._replace(
        message="eth0 has the address 192.0.2.1/24", fix=Mend("Ask DHCP", Safety.RISKY, Phase.PREPARE)
    )
    volatile = finding("fstab/volatile-device-name")._replace(fix=FIX)
    bad = finding("fstab/volatile-device-name", "/srv/\udcff\x1b[31m")
    return (
        Result("arguments/volatile-root", target, Status.PASS),
        fails("cpu/bound-module", target, *many),
        fails("fstab/volatile-device-name", target, volatile, bad),
        Result("initramfs/driver-missing", target, Status.UNKNOWN, image),
        Result("initramfs/other", target, Status.UNKNOWN, image),
        fails("network/static-address", target, static, waived),
        Result("storage/fine", target, Status.NOT_APPLICABLE, "not so: stacks.lvm"),
    )


RUN = document.Run("2026-11-23T10:00:00Z", 0.123, "/", ("/etc/migprep/rules.d/x.yaml:3: unknown member foo",))

#: What little of a machine the head of a report tells.
FILES: dict[str, bytes | str] = {
    "/etc/os-release": b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
    "/etc/hostname": b"web1\n",
    "/proc/sys/kernel/osrelease": b"6.1.0-18-amd64\n",
    "/proc/sys/kernel/arch": b"x86_64\n",
}


def report(*names: str) -> dict[str, Any]:
    """The document of FILES, RULES and results for the targets of those names."""
    judged = [document.Judged(known_target(name), results(name)) for name in names or ("kvm",)]
    return document.build(Facts(Files(FILES)), RULES, judged, RUN)


SEVERITIES = tuple(Severity)
