"""The packaged unit, timer and cron line: accepted by their readers, and blind to nothing that is judged."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from migprep import cli

PACKAGING = Path(__file__).parent.parent / "packaging"
SERVICE = PACKAGING / "systemd/migprep-check.service"


def settings(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().split("\n") if line and line[0] not in "#["]
    return dict(line.split("=", 1) for line in lines)


def test_sandbox_hides_nothing_that_is_judged() -> None:
    """What a guest showed: with these, a unit's report differs from the shell's (python -m tests.vm unit NAME)."""
    found = settings(SERVICE)
    hiding = {"PrivateDevices", "PrivateNetwork", "ProtectKernelModules", "ProtectClock", "ProtectHome", "PrivateTmp",
              "ProtectProc", "ProcSubset", "PrivateUsers", "DeviceAllow", "DevicePolicy", "InaccessiblePaths",
              "TemporaryFileSystem", "RootDirectory", "DynamicUser", "User"}  # fmt: skip
    assert not hiding & set(found)
    assert "CAP_SYS_PTRACE" in found["CapabilityBoundingSet"], "needed to read /proc/1/mountinfo"
    assert found["ProtectSystem"] == "strict" and found["StateDirectory"] == "migprep"
    assert found["SuccessExitStatus"] == "2 3"


@pytest.mark.parametrize("command", [settings(SERVICE)["ExecStart"], *re.findall(r"/usr/bin/migprep check.*", (PACKAGING / "cron/migprep").read_text())])
def test_scheduled_commands_are_understood(command: str) -> None:
    words = command.split()[1:]
    assert words[0] == "check" and "--cron" in words
    assert cli.parser(words).parse_args(words).cron


@pytest.mark.parametrize("name", ["migprep-check.service", "migprep-check.timer"])
def test_units_are_read_by_systemd(name: str, tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if not tool:
        pytest.skip("no systemd-analyze")
    for one in SERVICE.parent.iterdir():
        (tmp_path / one.name).write_text(one.read_text().replace("/usr/bin/migprep", "/bin/true"))
    said = subprocess.run([tool, "verify", "--man=no", str(tmp_path / name)], capture_output=True, text=True, check=False)
    told = [line for line in said.stderr.split("\n") if "migprep" in line]
    if said.returncode and not told:
        pytest.skip(f"systemd-analyze does not work here: {said.stderr[:100]}")
    assert told == []


def test_cron_line_is_a_line_of_the_system_crontab() -> None:
    lines = [line for line in (PACKAGING / "cron/migprep").read_text().split("\n") if line and not re.match(r"#|\w+=", line)]
    (line,) = lines
    minute, hour, _, _, _, user, command = line.split(None, 6)
    assert (minute.isdigit(), hour.isdigit(), user) == (True, True, "root")
    assert "%" not in command, "cron would end the command there"
    assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0
