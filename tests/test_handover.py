"""The hand-over sheet and the libvirt domain: all that the target needs, and nothing of the machine as markup."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from migprep import evaluate, rules, targets
from migprep.facts import Facts
from migprep.report import document, libvirt, md
from migprep.root import Files

HERE = Path(__file__).parent
SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
TARGETS = targets.load()
FILES = {
    "/etc/hostname": "web1\n",
    "/etc/adjtime": "0.0 0 0.0\n0\nLOCAL\n",
    "/etc/rc3.d/S01watchdog": "x",
    "/etc/default/watchdog": "watchdog_module=hpwdt\n",
    "/etc/rc.local": "mkfs.ext4 /dev/sdc\n",
    "/proc/meminfo": "MemTotal:        8030168 kB\nMemFree: 1 kB\n",
    "/sys/class/dmi/id/sys_vendor": "HPE\n",
    "/sys/class/dmi/id/product_name": "ProLiant <b>DL380</b> | Gen10\n",
    "/sys/class/dmi/id/product_uuid": "30313436-3631-5A43-3235-313230324A4E\n",
    "/sys/class/dmi/id/product_serial": "CZ251202JN & <x>\n",
}


def _document(name: str = "kvm", **more: str) -> dict[str, Any]:
    """A report on a machine with two disks, one card and everything that the sheet tells."""
    files: dict[str, bytes | str] = {}
    for one in ("debian", "release-debian-12", "sda", "sdb", "net-eth0", "cpu-level-3"):
        for path, value in yaml.safe_load((HERE / f"trees/{one}.yaml").read_text()).items():
            files[path] = value.encode() if isinstance(value, str) else value["link"]
    files.update({path: value.encode() for path, value in {**FILES, **more}.items()})
    facts, known = Facts(Files(files)), rules.load()
    judged = [document.Judged(TARGETS[name], evaluate.judge(known, facts, TARGETS[name]))]
    return document.build(facts, known, judged, document.Run("2026-11-23T10:00:00Z", 0.1, "/"))


def test_the_sheet_tells_what_the_target_needs() -> None:
    sheet = md.render(_document())
    for words in (
        "# web1: hand-over sheet", "| memory | 7.7 GiB as the kernel counts it: round up |", "| hardware clock | localtime |",
        "| system UUID | 30313436-3631-5a43-3235-313230324a4e |", "| 52:54:00:1a:b0:01 |", "NOT READY",
        "mkfs overwrite /dev/sdc", "watchdog starts at boot",
    ):  # fmt: skip
        assert words in sheet, sheet
    before, after = sheet.split("### On the target")
    assert "watchdog starts" in after and "watchdog starts" not in before


def test_the_sheet_tells_what_filesystems_are_known_by() -> None:
    line = "UUID=99999999-aaaa-4aaa-8aaa-000000000009 /x xfs nofail 0 0\n"
    fstab = yaml.safe_load((HERE / "trees/sda.yaml").read_text())["/etc/fstab"]
    sheet = md.render(_document(**{"/etc/fstab": fstab + line}))
    uuid = "11111111-aaaa-4aaa-8aaa-000000000003"
    assert f"| /dev/sda3 | ext4 | {uuid} | data | 0badcafe-03 | /etc/fstab |" in sheet, sheet
    assert re.search(r"- /etc/fstab line \d+: UUID=99999999\S+ means no device\.", sheet), sheet


def test_the_sheet_tells_who_mends_what_and_when() -> None:
    files = {
        "/usr/sbin/ifup": "", "/etc/network/interfaces": "auto eth0\niface eth0 inet static\n address 10.0.2.40/24\n",
        "/etc/systemd/system/display-manager.service": "x", "/etc/modules": "k10temp\n",
        "/etc/X11/xorg.conf": 'Section "Device"\n Driver "nvidia"\nEndSection\n',
    }  # fmt: skip
    sheet = md.render(_document("vmware", **files))
    _, before, last, after = re.split("(?m)^### (?:Before the|As the|On the target).*$", sheet)
    assert "`migprep fix --target vmware --cutover --apply --poweroff`" in sheet
    assert "migprep explain startup/destructive-command-by-name" in before and "--apply" not in before
    acts = [line for line in last.splitlines() if line.startswith("- [ ] ")]
    assert len(acts) == 1 and "Comment out the Device section" in acts[0]
    assert "`migprep fix --target vmware --cutover --only network/static-configuration --include risky --apply`" in last
    assert "Take the module out of the file: /etc/modules loads k10temp" in after


def test_the_sheet_tells_how_the_network_is_built() -> None:
    lan = "auto eth0\niface eth0 inet dhcp\nauto br0\niface br0 inet static\n bridge_ports eth0\n address 10.0.2.40/24\n" \
        " gateway 10.0.2.2\n dns-nameservers 10.0.2.3 10.0.2.4\n mtu 9000\n"  # fmt: skip
    lease = 'lease {\n  interface "eth0";\n  fixed-address 10.0.2.15;\n  option dhcp-server-identifier 10.0.2.2;\n}\n'
    ifup = {"/usr/sbin/ifup": "", "/etc/network/interfaces": lan}
    sheet = md.render(_document(**ifup, **{"/var/lib/dhcp/dhclient.leases": lease}))
    for line in (
        "| eth0 | dhcp: 10.0.2.15 from 10.0.2.2 for MAC address | none | none | none | usual | none | none | ifupdown: /etc/network/interfaces:2 |",
        "| br0 | static | 10.0.2.40/24 | 10.0.2.2 | 10.0.2.3, 10.0.2.4 | 9000 | eth0 | none | ifupdown: /etc/network/interfaces:4 |",
    ):
        assert line in sheet, sheet


def test_what_could_not_be_judged_is_no_silence() -> None:
    report = _document()
    report["results"] = [{**one, "status": "unknown", "findings": []} for one in report["results"]]
    sheet = md.render(report)
    assert "**What may stop this move could not be judged:** arguments/" in sheet and " more." in sheet
    report["results"] = [{**one, "status": "pass"} for one in report["results"]]
    assert "could not be judged" not in md.render(report)


def test_a_network_that_is_not_known_or_not_there() -> None:
    assert "None is brought up at boot." in md.render(_document())
    report = _document()
    report["inventory"]["network"] = None
    assert "The network configuration is not known." in md.render(report)


def test_no_text_of_the_machine_is_markup() -> None:
    sheet = md.render(_document(**{"/etc/hostname": "a|b`c<script>\n"}))
    assert "<b>" not in sheet and "<script>" not in sheet and r"\<b\>DL380" in sheet


@given(st.text())
def test_any_text_is_one_plain_cell(text: str) -> None:
    shown = md.plain(text)
    assert "\n" not in shown and "\r" not in shown
    assert not re.search(r"(?<!\\)(?:\\\\)*[|<`]", shown)
    shown.encode()


@pytest.mark.parametrize("name", ["kvm", "kvm-scsi", "generic"])
def test_the_domain_is_one_of_libvirts(name: str, tmp_path: Path) -> None:
    domain = libvirt.render(_document(name), TARGETS[name])
    for words in ("<clock offset='localtime'/>", "<mac address='52:54:00:1a:b0:01'/>", "<memory unit='KiB'>8126464<",
                  "<uuid>30313436-3631-5a43-3235-313230324a4e</uuid>", "CZ251202JN &amp; &lt;x&gt;", "i6300esb"):  # fmt: skip
        assert words in domain, domain
    if not SCHEMA.exists() or not shutil.which("xmllint"):
        pytest.skip("no libvirt schemas (Debian: libvirt0) or no xmllint (libxml2-utils) here")
    path = tmp_path / "domain.xml"
    path.write_text(domain)
    done = subprocess.run(["xmllint", "--noout", "--relaxng", SCHEMA, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + domain


def test_hostile_names_stay_inside_the_domain() -> None:
    from xml.etree import ElementTree

    found = ElementTree.fromstring(
        libvirt.render(_document(**{"/etc/hostname": "x--><!--'\"&\x01/../y\n"}), TARGETS["kvm"])
    )
    assert re.fullmatch(r"[\w.-]+", found.findtext("name") or "")
    assert all("/.." not in one.get("file", "") for one in found.iter("source"))


def test_a_target_that_libvirt_cannot_define_is_refused() -> None:
    with pytest.raises(libvirt.ExportError, match="kvm, kvm-scsi, generic"):
        libvirt.render(_document("vmware"), TARGETS["vmware"])


def test_a_machine_whose_disks_are_not_known_is_refused() -> None:
    report = _document()
    report["inventory"]["disks"] = None
    with pytest.raises(libvirt.ExportError, match="disks of this machine"):
        libvirt.render(report, TARGETS["kvm"])
    assert "The disks are not known" in md.render(report)


def test_disks_are_counted_in_letters() -> None:
    assert [libvirt.letters(number) for number in (0, 25, 26, 701, 702)] == ["a", "z", "aa", "zz", "aaa"]
