"""What a machine runs on, by DMI, hypervisor files and clock; and the identity that may be told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from migprep.facts import Facts, conditions
from migprep.formats import ini
from migprep.model import Unknown
from migprep.root import Files

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent"))
DMI = "/sys/class/dmi/id"
PLAIN = b"processor\t: 0\nflags\t\t: fpu lm\n"
GUEST = b"processor\t: 0\nflags\t\t: fpu hypervisor lm\n"
CLOCK = "/sys/devices/system/clocksource/clocksource0/available_clocksource"


def _name(files: dict[str, bytes | str]) -> str:
    found = Facts(Files(files)).virtualization
    assert not isinstance(found, Unknown)
    return found.name


@pytest.mark.parametrize(
    ("vendor", "product", "name"),
    [
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", "qemu"), ("Red Hat", "KVM", "kvm"), ("Amazon EC2", "m5.large", "amazon"),
        ("VMware, Inc.", "VMware Virtual Platform", "vmware"), ("innotek GmbH", "VirtualBox", "oracle"), ("Xen", "HVM domU", "xen"),
        ("Microsoft Corporation", "Virtual Machine", "microsoft"), ("Google", "Google Compute Engine", "google"),
        ("OpenStack Foundation", "OpenStack Nova", "kvm"), ("Dell Inc.", "PowerEdge R640", "none"), ("Microsoft Corporation", "Surface", "vm-other"),
    ],
)  # fmt: skip
def test_by_dmi(vendor: str, product: str, name: str) -> None:
    cpuinfo = PLAIN if name == "none" else GUEST
    assert (
        _name({f"{DMI}/sys_vendor": vendor.encode(), f"{DMI}/product_name": product.encode(), "/proc/cpuinfo": cpuinfo})
        == name
    )


def test_a_laptop_of_microsoft() -> None:
    files: dict[str, bytes | str] = {
        f"{DMI}/sys_vendor": b"Microsoft Corporation",
        f"{DMI}/product_name": b"Surface Laptop",
    }
    assert _name({**files, "/proc/cpuinfo": PLAIN}) == "none"


def test_qemu_with_acceleration_is_kvm() -> None:
    assert _name({f"{DMI}/sys_vendor": b"QEMU", "/proc/cpuinfo": GUEST, CLOCK: b"kvm-clock tsc acpi_pm\n"}) == "kvm"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"/proc/cpuinfo": PLAIN}, "none"),
        ({"/proc/cpuinfo": GUEST}, "vm-other"),
        ({"/proc/cpuinfo": GUEST, CLOCK: b"kvm-clock tsc\n"}, "kvm"),
        ({"/proc/cpuinfo": PLAIN, "/sys/hypervisor/type": b"xen\n"}, "xen"),
        ({"/proc/cpuinfo": PLAIN, "/sys/hypervisor/type": b"xen\n", "/proc/xen/capabilities": b"control_d\n"}, "none"),
        ({"/proc/cpuinfo": b"Features: fp\n", "/proc/device-tree/hypervisor/compatible": b"linux,kvm\0"}, "kvm"),
        ({"/proc/cpuinfo": b"x: y\n", "/proc/sysinfo": b"VM00 Control Program: z/VM    6.4.0\n"}, "zvm"),
        ({"/proc/cpuinfo": b"x: y\n", "/proc/device-tree/ibm,partition-name": b"lp1\0"}, "powervm"),
    ],
)
def test_without_dmi(files: dict[str, bytes | str], name: str) -> None:
    assert _name(files) == name


def test_nothing_to_ask_is_unknown() -> None:
    assert isinstance(Facts(Files({"/etc/hostname": b"x"})).virtualization, Unknown)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus here")
def test_real_dmi_texts() -> None:
    guests = 0
    for path in sorted((CORPUS / "dmidecode").iterdir()):
        text = path.read_bytes().decode("utf-8", "replace").partition("System Information")[2].partition("Handle")[0]
        known = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.split("\n"))}
        vendor, product = known.get("Manufacturer", ""), known.get("Product Name", "")
        name = _name(
            {f"{DMI}/sys_vendor": vendor.encode(), f"{DMI}/product_name": product.encode(), "/proc/cpuinfo": PLAIN}
        )
        assert name == {"VMware, Inc.": "vmware", "innotek GmbH": "oracle"}.get(vendor, "none"), path.name
        guests += name != "none"
    assert guests


@pytest.mark.parametrize(
    ("asked", "here", "on_kvm", "on_any"),
    [
        ("Virtualization=vmware", True, False, None),
        ("Virtualization=kvm", False, True, None),
        ("Virtualization=!kvm", True, False, None),
        ("Virtualization=yes", True, True, True),
        ("Virtualization=!vm", False, False, False),
        ("Virtualization=no", False, False, False),
        ("Virtualization=container", False, False, False),
        ("Virtualization=!container", True, True, True),
        ("Firmware=smbios-field(sys_vendor = VMware*)", True, False, None),
        ("Firmware=smbios-field(sys_vendor $= QEMU)", False, True, None),
        ("Firmware=smbios-field(sys_vendor != Dell Inc.)", True, True, True),
        ('Firmware=!smbios-field(sys_vendor $= "VMware*")', False, True, None),
        ("Firmware=device-tree", False, False, False),
        ("Firmware=uefi", False, False, False),
        ("Host=web*", True, True, True),
        ("Host=!0123456789abcdef0123456789abcdef", False, False, False),
        ("KernelCommandLine=quiet", True, True, True),
        ("KernelCommandLine=root", True, True, True),
        ("KernelCommandLine=root=/dev/sda1", False, False, False),
        ("KernelVersion=5.* 6.*", True, True, True),
        ("Architecture=x86-64", True, True, True),
    ],
)
def test_conditions_here_and_elsewhere(asked: str, here: bool, on_kvm: bool | None, on_any: bool | None) -> None:
    machine = Files({
        f"{DMI}/sys_vendor": b"VMware, Inc.\n", "/etc/hostname": b"web1\n", "/proc/cmdline": b"root=UUID=1 quiet\n",
        "/etc/machine-id": b"0123456789abcdef0123456789abcdef\n", "/proc/sys/kernel/osrelease": b"6.1.0-18-amd64\n",
        "/proc/sys/kernel/arch": b"x86_64\n",
    })  # fmt: skip
    (one,) = conditions.of_match(machine, "/etc/a.network", ini.parse(f"[Match]\n{asked}\n"))
    assert (one.here, one.holds_on("kvm"), one.holds_on("")) == (here, on_kvm, on_any)
    assert one.text == asked and one.line == 2


def test_identity_tells_the_hardware_and_keeps_the_machine_id() -> None:
    files: dict[str, bytes | str] = {
        f"{DMI}/sys_vendor": b"Dell Inc.\n", f"{DMI}/product_name": b"PowerEdge\n", f"{DMI}/product_serial": b"SERIAL1\n",
        f"{DMI}/product_uuid": b"4C4C-1\n", "/etc/machine-id": b"5ec2e7\n",
    }  # fmt: skip
    found = Facts(Files(files)).identity
    assert not isinstance(found, Unknown)
    assert (found.model, found.has_machine_id) == ("Dell Inc. PowerEdge", True)
    assert (found.serial, found.uuid) == ("SERIAL1", "4c4c-1") and "5ec2e7" not in repr(found)


@pytest.mark.parametrize(("content", "state"), [(b"", "empty"), (b"uninitialized\n", "empty"), (b"0123\n", "present")])
def test_machine_id(content: bytes, state: str) -> None:
    found = Facts(Files({f"{DMI}/sys_vendor": b"x", "/etc/machine-id": content})).identity
    assert not isinstance(found, Unknown)
    assert found.machine_id == state


def test_no_sys_is_unknown() -> None:
    assert isinstance(Facts(Files({"/etc/machine-id": b"x"})).identity, Unknown)
