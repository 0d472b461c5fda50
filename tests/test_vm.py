"""The lab's own reading and judging: scenario files, consoles, words of a guest, fates, the table."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.vm import __main__ as lab
from tests.vm import (
    cache,
    command,
    console,
    disk,
    fate,
    hardware,
    layout,
    machine,
    mounted,
    nvram,
    recipe,
    results,
    scenario,
    testimony,
    tpm,
    tree,
    trial,
)
from tests.vm.command import LabError
from tests.vm.results import Row

STORY = "story: a machine\n"


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The lab's command line sets handlers that later tests must not inherit, and ends as a stopped run."""
    command.begin()
    handlers = {sign: signal.getsignal(sign) for sign in (signal.SIGINT, signal.SIGTERM)}
    yield
    for sign, handler in handlers.items():
        signal.signal(sign, handler)


def test_every_scenario_of_the_lab_is_understood_and_has_a_recipe() -> None:
    every = scenario.load_all()
    assert len(every) >= 24
    for one in every:
        text = recipe.recipe(one)
        unfilled = [line for line in text.splitlines() if "ID@" in line]
        assert not unfilled, (one.name, unfilled)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (STORY + "layuot: plain\n", 2, "unknown key 'layuot'"),
        (STORY + "layout: zfs\n", 2, "'zfs' is not one of plain"),
        (STORY + "targets: kvm\n", 2, "expected a list"),
        (STORY + "targets:\n  - kvm\n  - kwm\n", 4, "'kwm' is not one of"),
        (STORY + "smoke: maybe\n", 2, "'maybe' is not one of true, false"),
        (STORY + "suite: bookworm\nsuite: trixie\n", 3, "'suite' is given twice"),
        (STORY + "source: {disk: floppy}\n", 2, "'floppy' is not one of ide"),
        (STORY + "replace:\n  - {in: etc/fstab, this: a}\n", 3, "an edit needs 'by'"),
        (STORY + "files: [\n", 3, "not YAML"),
        ("suite: bookworm\n", 1, "a scenario needs a 'story'"),
        ("", 1, "the file is empty"),
        ("- a\n", 1, "expected 'key: value'"),
    ],
)
def test_a_scenario_that_is_not_understood_is_refused_with_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(scenario.ScenarioError) as refused:
        scenario.parse(text, "x", "x.yaml")
    assert str(refused.value).startswith(f"x.yaml:{line}: ")
    assert why in str(refused.value)


def test_what_must_be_found_is_said_for_all_targets_or_for_one() -> None:
    both = scenario.parse(STORY + "finds: {all: [a/b], aws: [c/d]}\n", "x", "x.yaml")
    assert both.expected("kvm") == {"a/b"}
    assert both.expected("aws") == {"a/b", "c/d"}


@pytest.mark.parametrize(
    ("text", "where", "line"),
    [
        ("ALERT!  /dev/sda1 does not exist.  Dropping to a shell!\n\n(initramfs) ", "initramfs prompt", "ALERT!"),
        ("[  3.1] Kernel panic - not syncing: VFS: Unable to mount", "kernel panic", "Kernel panic"),
        ("[ TIME ] Timed out waiting for device /dev/sda3.\nYou are in emergency mode. After", "emergency mode", "Timed out"),
        ("Cannot open access to console, the root account is locked.\n", "emergency mode", "Cannot open"),
        ("fsck.ext4: failed (code 8).\nPress Enter for maintenance\n", "emergency mode", "Press Enter"),
        ("Entering emergency mode. Exit the shell to continue.\n", "dracut prompt", "Entering"),
        ("error: no such device.\ngrub rescue> ", "grub rescue prompt", "error: no such device."),
        ("error: file `/vmlinuz' not found.\n\nFailed to boot both default and fallback entries.\n", "grub menu", "error: file"),
        ("BdsDxe: No bootable option or device was found.\n", "no bootable device", "No bootable"),
        ("No bootable device.\n", "no bootable device", "No bootable"),
        ("[   77.8] dracut: FATAL: FIPS integrity test failed\n[   77.9] dracut: Refusing to continue\n[   78.4] reboot: System halted\n",
         "halted", "dracut: FATAL: FIPS integrity test failed"),
    ],
)  # fmt: skip
def test_a_console_that_died_says_where_and_why(text: str, where: str, line: str) -> None:
    found = console.death(text)
    assert found is not None
    assert found.where == where
    assert found.line.startswith(line)


def test_a_slow_console_is_not_a_dead_one() -> None:
    assert console.death("[  90.1] systemd: A start job is running for /dev/sda3 (89s / 1min 30s)") is None
    assert console.death("Loading initial ramdisk ...") is None


def test_the_emulators_trouble_is_told_from_the_guests() -> None:
    assert console.is_emulator_trouble("watchdog: BUG: soft lockup - CPU#0 stuck for 22s!")
    assert console.is_emulator_trouble("rcu: INFO: rcu_preempt self-detected stall on CPU")
    assert not console.is_emulator_trouble("Kernel panic - not syncing: VFS")


def test_colours_and_broken_bytes_do_not_hide_a_sign() -> None:
    raw = b"\x1b[0;1;31mYou are in \x1b[0memergency mode\xff\r\n"
    assert console.death(console.plain(raw)) is not None


def words(**said: str) -> str:
    body = "".join(f"@@{name.replace('_', ' ')}\n{text}" for name, text in said.items())
    return f"{body}@@end {hashlib.sha256(body.encode()).hexdigest()}\n"


def spoken(address: str = "10.0.2.40", name: str = "ens3", **more: str) -> testimony.Testimony:
    addresses = [{"ifname": name, "address": "52:54:00:00:00:01", "addr_info": [{"local": address, "prefixlen": 24, "scope": "global"}]}]  # fmt: skip
    said = {
        "root": "/dev/sda1 ext4 4-4\n", "mounts": "/ /dev/sda1 ext4 4-4\n/srv/data /dev/sda3 ext4 d-d\n",
        "swap": "/dev/sda2 5-5\n", "failed": "", "addresses": json.dumps(addresses) + "\n",
        "routes": '[{"dst":"default","gateway":"10.0.2.2"}]\n', "ping": "yes\n", "kernel": "6.1\n",
    }  # fmt: skip
    return testimony.read(words(**{**said, **more}))


def test_what_a_guest_says_becomes_data() -> None:
    report = base64.b64encode(gzip.compress(b'{"targets": []}')).decode()
    archive = base64.b64encode(b"an archive").decode()
    said = spoken(report=report + "\n", check_2_1_2="fine\n", archive=archive + "\n")
    assert said.mounts == {("/", "4-4"), ("/srv/data", "d-d")}
    assert said.links[0].addresses == ("10.0.2.40/24",)
    assert said.report == {"targets": []}
    assert said.capture == b"an archive"
    assert testimony.act(said, "check") == ("check", 2, 1, "fine")


def test_a_diff_among_the_words_is_not_a_section() -> None:
    diff = "--- a/etc/fstab\n+++ b/etc/fstab\n@ @ -1,5 +1,5 @@\n-/dev/sda1 / @@x\n+UUID=4 /\n"
    said = spoken(fix_0_1_9=diff)
    assert testimony.act(said, "fix") == ("fix", 0, 8, diff.strip())


def test_a_boot_waits_for_its_place_and_a_name_for_its_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGPREP_LAB", str(tmp_path))
    events = []

    def third() -> None:
        with cache.slot():
            events.append("third")

    waiting = threading.Thread(target=third)
    with cache.slot():
        with cache.slot(), cache.lock("run.x"):
            waiting.start()
            waiting.join(0.5)
            assert waiting.is_alive()
            events.append("second ends")
        waiting.join(5)
    assert events == ["second ends", "third"]


def test_who_waits_for_a_place_comes_before_who_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGPREP_LAB", str(tmp_path))
    events = []

    def waiter() -> None:
        with cache.slot():
            events.append("waiter")

    waiting = threading.Thread(target=waiter)
    with cache.slot():
        with cache.slot():
            waiting.start()
            waiting.join(0.5)
        with cache.slot():
            events.append("back again")
    waiting.join(5)
    assert events == ["waiter", "back again"]


def test_a_name_that_another_run_holds_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGPREP_LAB", str(tmp_path))
    told = threading.Event()

    def other() -> None:
        with cache.lock("run.x", told.set):
            pass

    waiting = threading.Thread(target=other)
    with cache.lock("run.x"):
        waiting.start()
        assert told.wait(5)
    waiting.join(5)
    assert not waiting.is_alive()


@pytest.mark.parametrize(
    ("verdict", "rules", "words"),
    [
        ("ready", frozenset(), "same"),
        ("not_ready", frozenset(), "not_ready (no reason)"),
        ("ready", frozenset({"fstab/x"}), "ready (fstab/x)"),
    ],
)
def test_a_capture_that_is_judged_otherwise_is_told(verdict: str, rules: frozenset[str], words: str) -> None:
    again = fate.Prediction(verdict, rules=rules, note="no reason")
    assert trial.difference(fate.Prediction("ready"), again) == words


def test_a_disk_is_named_without_being_built() -> None:
    one = scenario.load("hardcoded-sda")
    assert disk.name(one).startswith("hardcoded-sda-")
    assert trial.known_fate(one._replace(name="never-booted"), "kvm") is None
    assert trial.rejudge(one._replace(name="never-booted"), ("kvm",), "today") == []


def test_devices_of_a_source_stay_behind_and_change_no_other_machine() -> None:
    plain = scenario.parse(STORY, "x", "x.yaml")
    one = scenario.parse(STORY + "source: {devices: [watchdog]}", "x", "x.yaml")
    assert "i6300esb" in hardware.arguments(one.source, ["x.qcow2"], None)
    assert hardware.target("kvm", one).identity == hardware.target("kvm", plain).identity
    assert (plain.source.identity, one.source.identity) == ("", "devices=('watchdog',)")
    seen = scenario.parse(STORY + "source: {devices: [vmware-svga]}", "x", "x.yaml")
    assert hardware.target("kvm", seen).devices == ("vga",)
    assert disk.name(seen) == disk.name(plain)


def test_a_first_start_is_part_of_the_disk_and_on_that_hardware() -> None:
    plain = scenario.load("hardcoded-sda")
    one = plain._replace(first=("true",))
    assert disk.name(one) != disk.name(plain)
    assert disk.name(one._replace(first=("false",))) != disk.name(one)
    assert disk.name(one._replace(source=plain.source._replace(devices=("tpm",)))) != disk.name(one)
    assert trial.late(one) == [] and mounted.is_mountable(one)


def test_a_tpm_keeps_its_memory_on_its_own_machine_alone(tmp_path: Path) -> None:
    one = scenario.parse(STORY + "source: {devices: [tpm]}", "x", "x.yaml")
    other = scenario.parse(STORY + "source: {devices: [tpm]}\ntarget-devices: [tpm]", "x", "x.yaml")
    assert hardware.target("kvm", one).devices == () and hardware.target("kvm", other).devices == ("tpm",)
    assert "swtpm" in disk.tools(one) and "swtpm" not in disk.tools(one._replace(source=scenario.Hardware()))
    built, here = tmp_path / "disk", tmp_path / "boot"
    built.mkdir(), here.mkdir()
    (built / tpm.MEMORY).write_bytes(b"seeds")
    assert tpm.prepare(scenario.Hardware(), built, here, on_source=True) is None
    kept = tpm.prepare(one.source, built, here, on_source=True)
    assert kept and kept.read_bytes() == b"seeds"
    fresh = tpm.prepare(hardware.target("kvm", other), built, here, on_source=False)
    assert fresh and not fresh.exists()  # swtpm makes a chip of its own there
    with tpm.chip(None, tmp_path / "log") as connected:
        assert connected == []


@pytest.mark.skipif(shutil.which("swtpm") is None, reason="needs swtpm(8)")
def test_a_tpm_listens_and_leaves_nothing_running(tmp_path: Path) -> None:
    with tpm.chip(tmp_path / "tpm", tmp_path / "log") as connected:
        assert connected[0] == "-chardev" and Path(connected[1].rpartition("=")[2]).is_socket()
    assert not command._running


def test_what_a_source_does_late_makes_another_fate_and_no_other_disk(tmp_path: Path) -> None:
    """The known fates of scenarios that do nothing late keep their names."""
    plain = scenario.load("hardcoded-sda")
    one = plain._replace(late=("echo @ROOT@ > '/etc/two  words'", "sync"))
    ordered = recipe.done(one, one.late)
    assert recipe.done(plain, plain.late) == "" and ordered == "echo /dev/sda1 > '/etc/two  words'\nsync\n"
    assert disk.name(one) == disk.name(plain)
    assert trial._fate_name(one, "kvm") != trial._fate_name(plain, "kvm")
    assert trial._source_name(one) != trial._source_name(plain)
    assert trial.late(plain) == [] and trial.late(one) == ["late"]
    assert mounted.is_mountable(plain) and not mounted.is_mountable(one)
    machine.cargo(["late"], None, tmp_path, ordered)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress((tmp_path / "cargo.00").read_bytes()))) as tar:
        handed = tar.extractfile("late")
        assert handed and handed.read().decode() == ordered


@pytest.mark.parametrize("text", ["", "noise", "@@root\nx\n@@end 0\n", words(addresses="{nonsense")])
def test_garbage_is_one_sentence(text: str) -> None:
    with pytest.raises(LabError) as refused:
        testimony.read(text)
    assert "\n" not in str(refused.value)


def test_a_fate_names_what_was_lost() -> None:
    source = spoken()
    assert fate.fate(source, spoken(name="ens9")).whole
    assert fate.fate(source, spoken(address="10.0.2.15")).lost == ("network",)
    assert fate.fate(source, spoken(routes="[]\n")).lost == ("network",)
    assert fate.fate(source, spoken(ping="no\n")).lost == ("network",)
    assert fate.fate(source, spoken(mounts="/ /dev/vda1 ext4 4-4\n")).lost == ("data",)
    swapless = fate.fate(source, spoken(swap=""))
    assert (swapless.lost, swapless.limps) == ((), ("no swap",))
    assert fate.fate(source, spoken(failed="x.service loaded failed failed X\n")).limps == ("x.service",)


@pytest.mark.parametrize(
    ("verdict", "became", "word"),
    [
        ("ready", fate.Fate(()), "agree"),
        ("ready", fate.Fate(("data",)), "missed"),
        ("ready", fate.Fate((), ("no swap",)), "missed"),
        ("not_ready", fate.Fate(("boot",)), "agree"),
        ("not_ready", fate.Fate(()), "false alarm"),
        ("conditional", fate.Fate(()), "agree"),
        ("conditional", fate.Fate((), ("no swap",)), "agree"),
        ("conditional", fate.Fate(("network",)), "missed"),
        ("unknown", fate.Fate(()), "open"),
        ("-", fate.Fate(()), "open"),
    ],
)
def test_prediction_and_fate_are_compared(verdict: str, became: fate.Fate, word: str) -> None:
    assert fate.judgement(fate.Prediction(verdict), became) == word


def row(**change: Any) -> Row:
    return Row("s", "kvm", "ready", (), "whole", "agree", "2026-01-01", 60)._replace(**change)


def test_the_table_leaves_out_columns_nobody_filled(tmp_path: Path) -> None:
    text = results.table([row(), row(target="aws", agree="missed")])
    assert text.splitlines()[0].split() == "| scenario | target | said | fate | judged in | agree? |".split()
    assert len({len(line) for line in text.splitlines()}) == 1
    assert "rollback" in results.table([row(rollback="identical")])


def test_the_measure_counts_and_the_record_survives(tmp_path: Path) -> None:
    rows = [row(), row(target="aws", agree="missed"), row(scenario="t", agree="false alarm")]
    assert str(results.measure(rows)).startswith("2 scenarios, 3 scenario-target pairs: 1 agreements, 1 missed")
    path = tmp_path / "results.json"
    results.save(rows, "2026-01-01", {"QEMU": "7"}, path)
    assert results.load(path)[1] == sorted(rows, key=lambda r: (r.scenario, r.target))
    changed = results.changes(rows, [row(fate="lost boot")])
    assert changed == ["s on kvm: fate was whole (2026-01-01), is lost boot"]
    path.write_text("{")
    with pytest.raises(LabError):
        results.load(path)


def test_only_what_no_scenario_makes_is_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGPREP_LAB", str(tmp_path))
    kept = ["disks/fit-1", "fates/fit-1-kvm-2", "sources/fit-1-3", "trees/bookworm"]
    gone = ["disks/fit-0", "fates/fit-0-kvm-2", "sources/fit-0-3", "products/4"]
    for name in kept + gone:
        (tmp_path / name).mkdir(parents=True)
    assert {str(path.relative_to(tmp_path)) for path in cache.prune({"fit-1"})} == set(gone)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")} == set(kept)


def test_a_broken_cache_entry_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGPREP_LAB", str(tmp_path))
    built = []

    def build(half: Path) -> None:
        built.append(half)
        (half / "disk").write_bytes(b"whole")

    entry = cache.entry("disks", "d", build)
    assert cache.entry("disks", "d", build) == entry
    assert len(built) == 1
    (entry / "disk").write_bytes(b"half")
    assert (cache.entry("disks", "d", build) / "disk").read_bytes() == b"whole"
    assert len(built) == 2

    def fail(half: Path) -> None:
        raise LabError("no")

    with pytest.raises(LabError):
        cache.entry("disks", "e", fail)
    assert [path.name for path in (tmp_path / "disks").iterdir()] == ["d"]


def test_the_product_is_unpacked_once_for_all_who_ask_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGPREP_LAB", str(tmp_path))
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: machine.here(trial.CHECKOUT), range(4)))
    assert len(found) == 1 and all((path / "migprep" / "cli.py").is_file() for path in found)


def test_what_is_built_alike_is_one_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGPREP_LAB", str(tmp_path))
    one = scenario.parse(STORY, "one", "x.yaml")
    half = tmp_path / "disks" / "twin.half"
    half.mkdir(parents=True)
    assert not disk.share(one, half)

    def build(place: Path) -> None:
        (place / "disk").write_bytes(b"built")

    built = cache.entry("disks", disk.name(one), build)
    assert not disk.share(one._replace(run=("true",)), half)
    assert disk.share(one._replace(name="twin", late=("rm /vmlinuz",)), half)
    assert [path.name for path in half.iterdir()] == ["disk"]
    assert (half / "disk").samefile(built / "disk")


def test_the_boot_entry_names_the_file_and_the_partition() -> None:
    plan = layout.layout(scenario.parse(STORY + "loader: grub-uefi\n", "x", "x.yaml"))
    option = nvram.load_option(plan, "debian", "\\EFI\\debian\\grubx64.efi")
    assert "grubx64.efi".encode("utf-16-le") in option
    store = nvram.with_entry(b"\xff" * 4096, plan, "debian", "\\x")
    assert len(store) == 4096
    assert store[0x64:0x66] == b"\xaa\x55"


def test_a_machine_that_was_killed_has_no_fate(tmp_path: Path) -> None:
    lines = (tmp_path / "console", tmp_path / "said")
    for line in lines:
        line.write_bytes(b"")
    process = command.start(["sleep", "60"], tmp_path / "log")
    process.kill()
    process.wait()
    try:
        with pytest.raises(LabError, match="signal 9"):
            machine._listen(process, lines, 0.0, keep=False)
    finally:
        command.stop(process)


def test_a_missing_tool_is_named_with_what_installs_it() -> None:
    with pytest.raises(LabError) as refused:
        command.require("sh", "qemu-img-of-nobody")
    assert str(refused.value) == "missing qemu-img-of-nobody: apt-get install qemu-img-of-nobody"


def test_a_tool_that_one_scenario_wants_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for tool in ("qemu-system-x86_64", "qemu-img", *disk.TOOLS):
        (tmp_path / tool).write_text("")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    plain, sealed = scenario.load("fit-uuid-dhcp"), scenario.load("luks-root-sealed")
    assert lab._possible([plain, sealed]) == [plain]
    assert "skipped: luks-root-sealed: missing linux.uml, swtpm: apt-get install swtpm user-mode-linux\n" in capsys.readouterr().out
    with pytest.raises(LabError, match=r"^missing linux\.uml, swtpm: apt-get install swtpm user-mode-linux$"):
        lab._possible([sealed])


@pytest.mark.parametrize(
    ("printed", "sentence"),
    [
        ("cp: error writing 'x': No space left on device", "what: no space left on the device"),
        ("Temporary failure resolving 'deb.debian.org'", "what: no network: the archive's name does not resolve"),
        ("one\n\nlast words\n", "what: last words"),
        ("", "what: failed without a word"),
    ],
)
def test_a_failed_step_is_one_sentence(tmp_path: Path, printed: str, sentence: str) -> None:
    with pytest.raises(LabError) as refused:
        command.run(["sh", "-c", 'printf %s "$1"; exit 3', "sh", printed], tmp_path / "log", 10, "what")
    assert str(refused.value) == f"{sentence} (exit 3; see {tmp_path / 'log'})"


def test_a_step_that_overruns_is_ended_with_everything_it_started(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = command.start(["sh", "-c", f"sleep 77 >{pipe} & sleep 77"], tmp_path / "log")
    with pipe.open("rb") as held:  # opens once the grandchild holds the other side
        command.stop(process)
        assert held.read() == b""  # ends only when nobody holds it any more
    with pytest.raises(LabError, match="what: not done after 1 s"):
        command.run(["sleep", "77"], tmp_path / "log", 1, "what")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it mounts, in a namespace of its own")
def test_what_a_failed_step_mounted_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGPREP_LAB", str(tmp_path))
    script = f"mkdir {tmp_path}/m; mount -t tmpfs tmpfs {tmp_path}/m; touch {tmp_path}/m/inside; echo no more; exit 4\n"
    argv = ["unshare", "--mount", "--propagation", "private", "true"]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("mounts cannot be kept apart here, as in a chroot")
    with pytest.raises(LabError, match="what: no more"):
        tree.isolated(script, tmp_path, 20, "what")
    assert (tmp_path / "m").is_dir()
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert not (tmp_path / "m" / "inside").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "no-such-scenario"], "lab: no scenario 'no-such-scenario' (python -m tests.vm list names them)\n"),
        (["run"], "lab: name scenarios, or say --all or --smoke\n"),
        (["table", "--results", "{folder}/none.json"], "lab: no results yet in {folder}/none.json\n"),
        (["table", "--results", "{folder}/bad.json"], "lab: {folder}/bad.json is not a record of results: "),
    ],
)
def test_a_refusal_is_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIGPREP_LAB", str(tmp_path / "cache"))
    (tmp_path / "bad.json").write_text("{}")
    assert lab.main([word.format(folder=tmp_path) for word in words]) == 2
    told = capsys.readouterr().err
    assert told.startswith(sentence.format(folder=tmp_path))
    assert told.count("\n") == 1


def test_a_cache_that_cannot_be_written_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIGPREP_LAB", "/proc/no-such-folder")
    if not all(map(shutil.which, disk.tools(scenario.load("fit-uuid-dhcp")))):
        pytest.skip("the lab's tools are not installed here, which is another sentence")
    assert lab.main(["build", "fit-uuid-dhcp"]) == 2
    assert capsys.readouterr().err == "lab: /proc/no-such-folder: No such file or directory\n"


def test_a_run_that_was_stopped_waits_for_no_place_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGPREP_LAB", str(tmp_path))
    ended = []

    def boot() -> None:
        with pytest.raises(LabError, match="stopped"), cache.lock("slot"):
            ended.append("started")
        ended.append("stopped")

    waiting = threading.Thread(target=boot)
    try:
        with cache.lock("slot"):
            waiting.start()
            command.stop_all()
            waiting.join(5)
        with pytest.raises(LabError, match="stopped"):
            command.start(["true"], tmp_path / "log")
    finally:
        command.begin()
    assert ended == ["stopped"]


def test_columns_that_were_not_measured_anew_stay() -> None:
    old = row(fix="guest", source_boots="whole", after_fix="whole", rollback="identical", v2v="lost network")
    again = results.merged([old], [row(verdict="not_ready", agree="false alarm", capture="disk")])[0]
    assert (again.verdict, again.judged_in, again.rollback, again.v2v) == (
        "not_ready",
        "disk",
        "identical",
        "lost network",
    )
    anew = results.merged([old], [row(fix="exit 4 in the guest")])[0]
    assert (anew.fix, anew.rollback, anew.v2v) == ("exit 4 in the guest", "", "lost network")
