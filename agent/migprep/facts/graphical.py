"""What starts X at boot: a display manager, a unit, inittab, rc.local, or the shell of whom a getty logs in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migprep import root
from migprep.facts.services import FOLDERS, UNITS
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from migprep.facts.services import Services

MANAGERS = ("gdm", "gdm3", "lightdm", "sddm", "kdm", "xdm", "wdm", "slim", "nodm", "lxdm", "entrance")
#: The first of these that exists is the main file (xorg.conf(5), CONFIGURATION FILE; XF86Config before X.Org 6.7).
MAIN = ("/etc/X11/xorg.conf", "/etc/xorg.conf", "/etc/X11/XF86Config-4", "/etc/X11/XF86Config", "/etc/XF86Config")
SERVERS = ("/usr/bin/Xorg", "/usr/bin/X", "/usr/X11R6/bin/Xorg")

# exec startx -- -nocursor      su - kiosk -c "xinit /usr/local/bin/kiosk -- :0" &      /usr/bin/X :0
SERVER = r"(?:(?<![^\s'\"=/@:+!(;&-])(?:Xorg|startx|xinit)|/bin/X)(?![^\s'\");&])"
RUN = re.compile(rf"(?m)^[^#\n]*{SERVER}")
# ExecStart=/usr/bin/Xorg :0 vt7
EXECUTED = re.compile(rf"(?m)^[ \t]*ExecStart[ \t]*=[^\n]*{SERVER}")
# ExecStart=/usr/local/bin/kiosk --full-screen      ExecStart=/bin/sh /opt/kiosk/start
SCRIPT = re.compile(
    r"(?m)^[ \t]*ExecStart[ \t]*=[ \t]*[-@:+!]*(?:/bin/(?:ba)?sh +)?(/(?:usr/local|opt|srv|root|home)/\S+)"
)
# x:5:respawn:/usr/bin/startx
RESPAWNED = re.compile(rf"(?m)^[\w~-]*:[2-5]*:(?:respawn|once|wait):[^\n]*{SERVER}")
# ExecStart=-/sbin/agetty --autologin kiosk --noclear %I $TERM      1:2345:respawn:/sbin/agetty -a kiosk tty1
AUTOLOGIN = re.compile(r"\s(?:--autologin|-a)[\s=]+([\w.-]+)")
PROFILES = (".bash_profile", ".bash_login", ".profile", ".zprofile", ".zlogin", ".config/fish/config.fish")


def manager(place: Root) -> str:
    """The path that says that a display manager starts at boot, or ""."""
    unit = f"{UNITS}/display-manager.service"
    if place.link(unit) or root.exists(place, unit):
        return unit if _default_target(place) == "graphical.target" else ""
    for line in (root.text(place, "/etc/inittab") or "").split("\n"):
        # id:5:initdefault: (RHEL and SUSE start X in runlevel 5; Debian starts it in all from 2 on)
        parts = line.split(":")
        if parts[2:3] == ["initdefault"] and parts[1] == "5" and _has_x(place):
            return "/etc/inittab"
    for name in MANAGERS:
        found = root.glob(place, f"/etc/rc2.d/S[0-9][0-9]{name}") or root.glob(place, f"/etc/init/{name}.conf")
        if found:
            return found[0]
    return ""


def starter(place: Root, services: Services | Unknown) -> str:
    """The path that says that something else starts X at boot, or "". Raises Undetermined, Unreadable."""
    if isinstance(services, Unknown):
        raise Undetermined(services.reason)
    return _unit(place, services) or next((path for path, text in _scripts(place) if RUN.search(text)), "")


def _unit(place: Root, services: Services) -> str:
    idle = "" if _default_target(place) == "graphical.target" else "/graphical.target.wants/"
    for name, path in services.enabled.items():
        if path.startswith(f"{UNITS}/") and not (idle and idle in path):
            file = re.sub("@.*", "@", name) + ".service"  # an instance is described by its template
            text = next(filter(None, (root.text(place, f"{folder}/{file}") for folder in FOLDERS)), "")
            script = SCRIPT.search(text)
            if EXECUTED.search(text) or (script and RUN.search(_script(place, script.group(1)))):
                return path
    return ""


def _script(place: Root, path: str) -> str:
    found = place.stat(path)
    if found is None or found.kind != "file":
        return ""
    with place.open(path) as stream:
        start = stream.read(65536)
    return start.decode("utf-8", "surrogateescape") if start[:2] == b"#!" else ""


def _scripts(place: Root) -> Iterator[tuple[str, str]]:
    """(path, text) of what runs at boot besides units: what inittab starts, rc.local, the profiles of who is there."""
    inittab = root.text(place, "/etc/inittab") or ""
    yield "/etc/inittab", "\n".join(found.group() for found in RESPAWNED.finditer(inittab))
    for path in ("/etc/rc.local", "/etc/rc.d/rc.local", *_profiles(place, inittab)):
        yield path, root.text(place, path) or ""


def _profiles(place: Root, inittab: str) -> Iterator[str]:
    """What the shells of those read whom a getty logs in without asking."""
    paths = [f"{UNITS}/{unit}.service" for unit in ("getty@tty1", "getty@", "autologin@")]
    paths += [name for path in paths for name in root.glob(place, f"{path}.d/*.conf")]
    texts = [inittab, *(root.text(place, path) or "" for path in paths)]
    lines = (line for text in texts for line in text.split("\n") if "getty" in line and line.lstrip()[0] not in "#;")
    users = {user for line in lines for user in AUTOLOGIN.findall(line)}
    for line in (root.text(place, "/etc/passwd") or "").split("\n") if users else ():
        fields = line.split(":")  # kiosk:x:1000:1000::/home/kiosk:/bin/bash
        if fields[0] in users and len(fields) > 5:
            yield from (f"{fields[5]}/{name}" for name in PROFILES)


def _has_x(place: Root) -> bool:
    return any(root.exists(place, path) for path in (*SERVERS, *MAIN))


def _default_target(place: Root) -> str:
    for folder in FOLDERS:
        target = place.link(f"{folder}/default.target")
        if target:
            return target.rsplit("/", 1)[-1].replace("runlevel5.target", "graphical.target")
    return "graphical.target"
