"""Captures: the same verdict elsewhere, nothing secret, nothing absent that nobody looked for, no trap opened."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import machines

from migprep import capture, inspection, redact, root
from migprep.facts import Facts
from migprep.root import Files, Tree, Unreadable

LIVE = Tree("/", live=True)


def loaded(recorder: capture.Recorder, folder: Path) -> root.Root:
    """What comes back from the archive of `recorder`."""
    path = folder / "capture.tgz"
    path.write_bytes(capture.packed(recorder))
    return capture.load(str(path))


def recorded(files: dict[str, bytes | str]) -> capture.Recorder:
    """A recorder over files in memory, nothing read yet."""
    return capture.Recorder(Files(files), {})


# --- recording ---


def test_a_kernel_that_is_gone_is_gone_in_its_capture_too(tmp_path: Path) -> None:
    menu = b"menuentry 'a' {\n linux /boot/vmlinuz-6.1 root=UUID=1\n initrd /boot/initrd.img-6.1\n}\n"
    recorder = recorded({"/boot/grub/grub.cfg": menu, "/boot/initrd.img-6.1": b"x", "/lib/modules/6.1/modules.dep": b""})
    lost = Facts(recorder).bootloader.lost
    assert [one.file for one in lost] == ["/boot/vmlinuz-6.1"]
    assert Facts(loaded(recorder, tmp_path)).bootloader.lost == lost


def test_what_was_read_comes_back(tmp_path: Path) -> None:
    recorder = recorded(
        {
            "/etc/fstab": b"x\r\n\xff",
            "/etc/mtab": "../proc/mounts",
            "/proc/mounts": b"m",
            "/etc/d/a": b"a",
            "/etc/d/b": b"b",
        }
    )
    for ask in (
        lambda r: root.read(r, "/etc/fstab"),
        lambda r: root.read(r, "/etc/mtab"),
        lambda r: root.glob(r, "/etc/d/*"),
        lambda r: r.stat("/etc/no"),
    ):
        ask(recorder)
    again = loaded(recorder, tmp_path)
    assert root.read(again, "/etc/fstab") == b"x\r\n\xff"
    assert root.read(again, "/etc/mtab") == b"m"
    assert root.real(again, "/etc/mtab") == "/proc/mounts"
    assert root.glob(again, "/etc/d/*") == ["/etc/d/a", "/etc/d/b"]
    assert again.stat("/etc/no") is None


def test_what_nobody_looked_at_is_unknown_not_absent(tmp_path: Path) -> None:
    recorder = recorded({"/etc/fstab": b"x", "/etc/crypttab": b"y", "/etc/d/a": b"a"})
    root.read(recorder, "/etc/fstab")
    recorder.names("/etc/d")
    again = loaded(recorder, tmp_path)
    for path in ("/etc/crypttab", "/etc/d/a", "/var"):
        with pytest.raises(Unreadable):
            root.read(again, path)
    with pytest.raises(Unreadable):
        again.names("/etc/e")
    assert again.stat("/etc/d/b") is None  # its folder was listed


def test_absent_folder_has_no_children(tmp_path: Path) -> None:
    recorder = recorded({"/etc/fstab": b"x"})
    assert recorder.stat("/etc/netplan") is None
    again = loaded(recorder, tmp_path)
    assert again.names("/etc/netplan") == []
    assert root.read(again, "/etc/netplan/a.yaml") is None


def test_beginning_of_a_long_file_is_not_the_whole(tmp_path: Path) -> None:
    recorder = recorded({"/lib/libc.so": bytes(range(256)) * 400})
    with recorder.open("/lib/libc.so") as stream:
        head = stream.read(64)
    assert len(recorder.contents["/lib/libc.so"]) < 10000
    again = loaded(recorder, tmp_path)
    with again.open("/lib/libc.so") as stream:
        assert stream.read(64) == head
    with pytest.raises(Unreadable, match="only the beginning"), again.open("/lib/libc.so") as stream:
        stream.read()


def test_unreadable_stays_unreadable(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fstab")
    recorder = capture.Recorder(Tree(str(tmp_path)), {})
    with pytest.raises(Unreadable):
        recorder.open("/fstab")
    with pytest.raises(Unreadable, match="not a regular file"):
        loaded(recorder, tmp_path).open("/fstab")


def test_archive_is_reproducible(tmp_path: Path) -> None:
    recorder = recorded({"/etc/fstab": b"x"})
    root.read(recorder, "/etc/fstab")
    assert capture.packed(recorder) == capture.packed(recorder)


def test_unpacked_capture_is_the_same(tmp_path: Path) -> None:
    recorder = recorded({"/etc/fstab": b"x", "/etc/crypttab": b"y"})
    root.read(recorder, "/etc/fstab")
    with tarfile.open(fileobj=io.BytesIO(capture.packed(recorder))) as archive:
        archive.extractall(tmp_path)  # noqa: S202  our own archive
    again = inspection.open_root(str(tmp_path))
    assert root.read(again, "/etc/fstab") == b"x"
    with pytest.raises(Unreadable):
        root.read(again, "/etc/crypttab")


def test_tree_by_hand_needs_no_meta(tmp_path: Path) -> None:
    path = tmp_path / "tree.tgz"
    path.write_bytes(packed(("etc/fstab", b"x")))
    assert root.read(capture.load(str(path)), "/etc/crypttab") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="reads the whole machine")
def test_this_machine_is_judged_the_same_from_its_capture(tmp_path: Path) -> None:
    path = tmp_path / "machine.tgz"
    capture.write(str(path))
    rules, targets = inspection.load_rules(str(tmp_path))[0], tuple(inspection.load_targets(str(tmp_path))[0].values())
    live, told = Facts(LIVE), Facts(capture.load(str(path)))
    here, there = (inspection.judge(inspection.Inspection(facts, rules, targets, (), ())) for facts in (live, told))
    assert there == here
    assert path.stat().st_mode & 0o777 == 0o600


# --- secrets ---

SECRET = b"s3cr3t-V4lue"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/etc/NetworkManager/system-connections/w", b"[wifi-security]\nkey-mgmt=wpa-psk\npsk=s3cr3t-V4lue with spaces\n"),
        ("/etc/NetworkManager/system-connections/w", b"[802-1x]\npassword=s3cr3t-V4lue\nprivate-key-password=s3cr3t-V4lue\n"),
        ("/etc/NetworkManager/system-connections/v", b"[vpn-secrets]\nanything=s3cr3t-V4lue\n\n[ipv4]\nmethod=auto\n"),
        ("/etc/NetworkManager/system-connections/w", b"[wifi-security]\nwep-key0=s3cr3t-V4lue\n"),
        ("/etc/NetworkManager/system-connections/g", b"[gsm]\npin=s3cr3t-V4lue\n"),
        ("/etc/netplan/50.yaml", b'network:\n  wifis:\n    w:\n      access-points:\n        "net":\n          password: "s3cr3t-V4lue"\n'),
        ("/etc/netplan/50.yaml", b"      keys:\n        private: s3cr3t-V4lue\n      peers:\n      - keys: {}\n        shared: s3cr3t-V4lue\n"),
        ("/etc/netplan/50.yaml", b'          "net": {password: s3cr3t-V4lue, mode: x}\n'),
        ("/etc/wpa_supplicant/wpa_supplicant.conf", b'network={\n\tssid="x"\n\tpsk="s3cr3t-V4lue"\n\twep_key0=s3cr3t-V4lue\n\tprivate_key_passwd="s3cr3t-V4lue"\n}\n'),
        ("/etc/network/interfaces", b"iface w inet dhcp\n    wpa-ssid home\n    wpa-psk s3cr3t-V4lue\n    wireless-key s3cr3t-V4lue\n"),
        ("/etc/sysconfig/network-scripts/keys-w", b"KEY1=s3cr3t-V4lue\nWPA_PSK='s3cr3t-V4lue'\nKEY_PASSPHRASE1=s3cr3t-V4lue\n"),
        ("/etc/sysconfig/network/ifcfg-w", b"WIRELESS_KEY_0='s3cr3t-V4lue'\nWIRELESS_WPA_PSK='s3cr3t-V4lue'\n"),
        ("/etc/systemd/network/wg.netdev", b"[WireGuard]\nPrivateKey=s3cr3t-V4lue\n[WireGuardPeer]\nPresharedKey = s3cr3t-V4lue\n"),
        ("/etc/fstab", b"//s/x /mnt cifs user=me,password=s3cr3t-V4lue,ro 0 0\n"),
        ("/etc/default/grub", b'GRUB_CMDLINE_LINUX="quiet rd.iscsi.password=s3cr3t-V4lue ro"\n'),
        ("/proc/cmdline", b"root=UUID=x netroot=iscsi:me:s3cr3t-V4lue@192.0.2.1::3260:: rd.iscsi.in.password=s3cr3t-V4lue\n"),
        ("/etc/grub.d/40_custom", b"set superusers=root\npassword_pbkdf2 root grub.pbkdf2.sha512.10000.s3cr3t-V4lue\npassword me s3cr3t-V4lue\n"),
        ("/boot/grub2/user.cfg", b"GRUB2_PASSWORD=grub.pbkdf2.sha512.10000.s3cr3t-V4lue\n"),
        ("/boot/grub/menu.lst", b"timeout 5\npassword --md5 $1$abc$s3cr3t-V4lue\ntitle x\n"),
        ("/etc/iscsi/iscsid.conf", b"node.session.auth.username = me\nnode.session.auth.password = s3cr3t-V4lue\n"),
        ("/etc/rc.local", b"mysqldump --password=s3cr3t-V4lue all\ncurl https://me:s3cr3t-V4lue@host/\nexport TOKEN=s3cr3t-V4lue\n"),
        ("/etc/x", b"-----BEGIN OPENSSH PRIVATE KEY-----\ns3cr3t-V4lue\n-----END OPENSSH PRIVATE KEY-----\nafter\n"),
        ("/etc/x", b"-----BEGIN PRIVATE KEY-----\ns3cr3t-V4lue\n"),
        ("/etc/x", b"root:$6$abcdefgh$s3cr3t-V4lue:1:\n"),
        ("/etc/wicked/w.xml", b"<passphrase>s3cr3t-V4lue</passphrase>\n"),
        ("/etc/machine-id", SECRET + b"\n"),
    ],
)  # fmt: skip
def test_secrets_are_masked(path: str, content: bytes) -> None:
    masked = redact.redacted(path, content)
    assert SECRET not in masked
    assert masked.count(b"\n") == content.count(b"\n") or b"PRIVATE KEY" in content
    assert redact.redacted(path, masked) == masked


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (
            "/etc/fstab",
            b"UUID=0a1b /data ext4 defaults,x-systemd.device-timeout=5 0 2\n/dev/mapper/pwx /x ext4 ro 0 0\n",
        ),
        (
            "/etc/default/grub",
            b'GRUB_CMDLINE_LINUX="rd.luks.key=/etc/keys/root.key rd.luks.uuid=luks-0a1b rd.md.uuid=a:b:c:d"\n',
        ),
        ("/etc/crypttab", b"root UUID=0a1b /etc/keys/root.key luks,discard\n"),
        (
            "/etc/NetworkManager/system-connections/w",
            b"[wifi-security]\nkey-mgmt=wpa-psk\npsk-flags=1\n[ipv4]\nmethod=shared\n",
        ),
        ("/proc/cmdline", b"BOOT_IMAGE=(hd0,gpt2)/vmlinuz root=/dev/sda1 nfsroot=192.0.2.1:/srv:ro\n"),
        ("/run/udev/data/b8:1", b"E:ID_FS_UUID=0a1b\nE:DM_UUID=CRYPT-LUKS2-x\n"),
        ("/etc/machine-id", b"uninitialized\n"),
        (
            "/etc/udev/rules.d/70-persistent-net.rules",
            b'SUBSYSTEM=="net", ATTR{address}=="00:11:22:33:44:55", NAME="eth0"\n',
        ),
    ],
)
def test_what_is_no_secret_stays(path: str, content: bytes) -> None:
    assert redact.redacted(path, content) == content


@given(st.binary(max_size=400))
def test_redacting_never_fails(content: bytes) -> None:
    redact.redacted("/etc/netplan/x", content)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/etc/shadow-",
        "/etc/ssh/ssh_host_rsa_key",
        "/etc/keys/root.key",
        "/root/.ssh/id_ed25519",
        "/etc/ssl/private/x.pem",
    ],
)
def test_files_of_secrets_are_not_even_opened(path: str, tmp_path: Path) -> None:
    recorder = recorded({path: SECRET})
    with pytest.raises(Unreadable, match="holds secrets"):
        root.read(recorder, path)
    assert SECRET not in gzip.decompress(capture.packed(recorder))


# --- traps ---


def packed(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    """A tar.gz of files, and of members as they are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for one in members:
            if isinstance(one, tarfile.TarInfo):
                archive.addfile(one, io.BytesIO(bytes(min(one.size, 1 << 20))))
            else:
                info = tarfile.TarInfo(one[0])
                info.size = len(one[1])
                archive.addfile(info, io.BytesIO(one[1]))
    return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A member that is no file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def bomb() -> bytes:
    """Twelve files of a megabyte, in a few kilobytes."""
    return packed(*((f"etc/{number}", bytes(1 << 20)) for number in range(12)))


def long_name() -> bytes:
    """An extended header that says it is 8 GiB long."""
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 8 << 30
    return gzip.compress(
        info.tobuf(tarfile.USTAR_FORMAT if info.size < 8 << 30 else tarfile.GNU_FORMAT) + bytes(1 << 20)
    )


META = {"schema": capture.SCHEMA, "stats": {}, "listings": {}, "partial": {}, "unread": {}}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: b"", "is not a capture"),
        (lambda: b"hello", "is not a capture"),
        (lambda: gzip.compress(b"hello" * 1000), "is not a capture"),
        (lambda: packed(("etc/fstab", b"x" * 100000))[:-50], "is not a capture"),
        (lambda: packed(("/etc/fstab", b"x")), "leads out"),
        (lambda: packed(("etc/../../x", b"x")), "leads out"),
        (lambda: packed(("etc/fstab", b"x"), ("./etc//fstab", b"y")), "twice"),
        (lambda: packed(("etc", b"x"), ("etc/fstab", b"y")), "as a file and as a folder"),
        (lambda: packed(special("x", tarfile.LNKTYPE, "etc/fstab")), "neither file"),
        (lambda: packed(special("x", tarfile.CHRTYPE)), "neither file"),
        (lambda: packed(special("x", tarfile.FIFOTYPE)), "neither file"),
        (lambda: packed(("x", bytes(5 << 20))), "larger than"),
        (bomb, "more than"),
        (long_name, "capture"),
        (lambda: packed(("migprep/meta.json", b"{")), "damaged"),
        (lambda: packed(("migprep/meta.json", b"[" * 100000)), "damaged"),
        (lambda: packed(("migprep/meta.json", b"[]")), "damaged"),
        (
            lambda: packed(("migprep/meta.json", json.dumps({**META, "schema": "migprep/capture/9"}).encode())),
            "this migprep reads",
        ),
        (lambda: packed(("migprep/meta.json", json.dumps({**META, "stats": {"/x": [1]}}).encode())), "damaged"),
        (lambda: packed(("migprep/meta.json", json.dumps({**META, "listings": {"/x": [1]}}).encode())), "damaged"),
    ],
)
def test_traps_are_refused(
    make: Callable[[], bytes], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "TOTAL", 8 << 20)
    monkeypatch.setattr(capture, "SINGLE", 4 << 20)
    path = tmp_path / "trap.tgz"
    path.write_bytes(make())
    with pytest.raises(capture.CaptureError, match=told):
        capture.load(str(path))


def test_links_of_a_capture_stay_inside(tmp_path: Path) -> None:
    path = tmp_path / "links.tgz"
    path.write_bytes(
        packed(
            special("etc/fstab", tarfile.SYMTYPE, "../../../../etc/passwd"), special("loop", tarfile.SYMTYPE, "loop")
        )
    )
    found = capture.load(str(path))
    assert root.read(found, "/etc/fstab") is None
    with pytest.raises(Unreadable, match="too many levels"):
        root.read(found, "/loop")


def test_everything_of_a_machine_in_memory_survives(tmp_path: Path) -> None:
    recorder = capture.record(Files(machines.FILES))
    again = loaded(recorder, tmp_path)
    assert root.read(again, "/etc/hostname") == b"web1\n"
    assert {name: value for name, value in recorder.meta.stats.items() if value is None}
