"""netplan's configuration: all its YAML files merged in the order of their names (netplan(5))."""

from __future__ import annotations

from migprep.facts.configuration import Configuration, Setting, installed, linked, number, text, yaml_loader
from migprep.facts.selection import Selection, mac
from migprep.formats.stanzas import split
from migprep.model import Undetermined
from migprep.root import Root
from migprep.typed import Any

#: Of files with one name the last folder's counts.
FOLDERS = ("/lib/netplan", "/usr/lib/netplan", "/etc/netplan", "/run/netplan")
KINDS = ("ethernets", "bonds", "bridges", "vlans", "vrfs", "tunnels", "dummy-devices")
#: Settings that a driver may refuse.
TUNING = (
    "receive-checksum-offload", "transmit-checksum-offload", "tcp-segmentation-offload", "tcp6-segmentation-offload",
    "generic-segmentation-offload", "generic-receive-offload", "large-receive-offload",
    "virtual-function-count", "embedded-switch-mode", "delay-virtual-functions-rebind",
)  # fmt: skip
#: Where the first line of an interface is kept among its settings.
MARK = "\0line"


def load(content: str, path: str) -> dict[str, Any]:
    """The mapping below ``network``, all scalars as text, interfaces with path and line. Raises Undetermined."""
    import yaml

    try:
        loader = yaml_loader(content)
        try:
            node = loader.get_single_node()
            document = loader.construct_document(node) if node else {}
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise Undetermined(f"{path}{f':{mark.line + 1}' if mark else ''}: netplan itself refuses this file") from None
    network = document.get("network") if isinstance(document, dict) else None
    if not isinstance(network, dict):
        return {}
    _mark(node, network, path)
    return network


def _mark(node: Any, network: dict[str, Any], path: str) -> None:
    for kind, body in _pairs(_child(node, "network")):
        interfaces = network.get(kind.value)
        if isinstance(interfaces, dict) and kind.value in KINDS:
            for name, _ in _pairs(body):
                if isinstance(interfaces.get(name.value), dict):
                    interfaces[name.value][MARK] = (path, name.start_mark.line + 1)


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    return node.value if getattr(node, "id", "") == "mapping" else []


def _child(node: Any, key: str) -> Any:
    return next((value for name, value in _pairs(node) if name.value == key), None)


def merged(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """All documents as netplan sees them: mappings merge, sequences grow, scalars are replaced."""
    result: dict[str, Any] = {}
    for document in documents:
        _merge(result, document)
    return result


def _merge(into: dict[str, Any], new: dict[str, Any]) -> None:
    for key, value in new.items():
        old = into.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            _merge(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            into[key] = old + [one for one in value if one not in old]
        else:
            into[key] = value


def configurations(network: dict[str, Any]) -> tuple[Configuration, ...]:
    """One for each interface of a merged document."""
    found = []
    for kind in KINDS:
        section = _mapping(network.get(kind))
        for name, settings in section.items():
            found.append(_configuration(kind, name, _mapping(settings)))
    return tuple(found)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _configuration(kind: str, name: str, given: dict[str, Any]) -> Configuration:
    path, line = given.get(MARK, ("/etc/netplan", 0))
    match = _mapping(given.get("match"))
    address = mac(str(match.get("macaddress", "")))
    selection = Selection(
        names=_words(match.get("name")) if match else (name,),
        macs=(address,) if address else (),
        drivers=_words(match.get("driver")),
        everything="match" in given and not match,
    )
    addresses = tuple(
        str(next(iter(one), "")) if isinstance(one, dict) else str(one) for one in _list(given.get("addresses"))
    )
    dhcp = any(str(given.get(key, "")).lower() in ("true", "yes", "on", "y") for key in ("dhcp4", "dhcp6"))
    lower = [str(one) for one in _list(given.get("interfaces"))] if kind != "ethernets" else []
    lower += [str(given["link"])] if kind in ("vlans", "tunnels") and given.get("link") else []
    return Configuration(
        tool="netplan",
        path=path,
        line=line,
        interface=name,
        selection=selection,
        method="dhcp" if dhcp and not addresses else "static" if addresses else "manual",
        addresses=addresses,
        gateway=_gateway(given),
        dns=tuple(str(one) for one in _list(_mapping(given.get("nameservers")).get("addresses"))),
        uses=tuple(lower),
        at_boot=str(given.get("activation-mode", "")) not in ("manual", "off"),
        given_name=str(given.get("set-name", "")) if address else "",
        set_mac=mac(str(given.get("macaddress", ""))),
        mtu=number(str(given.get("mtu", ""))),
        key=name,
        tuning=tuple(Setting(line, f"{key}: {given[key]}") for key in TUNING if isinstance(given.get(key), str)),
    )


def _words(value: Any) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else tuple(str(value).split()) if value else ()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _gateway(given: dict[str, Any]) -> str:
    for key in ("gateway4", "gateway6"):
        if given.get(key):
            return str(given[key])
    for route in _list(given.get("routes")):
        if _mapping(route).get("to") in ("default", "0.0.0.0/0", "0/0", "::/0"):
            return str(route.get("via", ""))
    return ""


def read(tree: Root) -> tuple[Configuration, ...]:
    """What netplan's generator would write at boot. Raises Undetermined for a file that it refuses."""
    files: dict[str, str] = {}
    for folder in FOLDERS:
        files.update({name: f"{folder}/{name}" for name in tree.names(folder) if name.endswith(".yaml")})
    if not files or not installed(tree, "/usr/sbin/netplan", "/usr/lib/netplan/generate", "/lib/netplan/generate"):
        return ()
    network = merged([load(text(tree, path), path) for _, path in sorted(files.items())])
    # A bond's ports are named by their key, not by their device, where they have one of their own.
    return linked(configurations(network))


def as_dhcp(content: str, line: int) -> str:
    """The file with the interface whose name stands at `line` taking its address from DHCP; everything else stays.

    An interface that is written in braces stays as it is: a person must do that.
    """
    import yaml

    try:
        node = yaml.compose(
            content.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), Loader=yaml.BaseLoader
        )
    except (yaml.YAMLError, RecursionError, ValueError):
        return content
    body = next(
        (
            body
            for _, interfaces in _pairs(_child(node, "network"))
            for name, body in _pairs(interfaces)
            if name.start_mark.line + 1 == line
        ),
        None,
    )
    if body is None or body.flow_style or not _pairs(body) or body.start_mark.line + 1 <= line:
        return content
    lines = split(content)
    # A block ends where the next word begins, or with the text.
    rest = lines[body.end_mark.line :]
    last = body.end_mark.line if rest and rest[0][: body.end_mark.column].strip() == "" else len(lines)
    gone: list[tuple[int, int]] = []
    asks = None
    for key, (start, end) in zip(_pairs(body), _spans([key for key, _ in _pairs(body)], last, lines)):
        name, value = key[0].value, key[1]
        if name in ("addresses", "gateway4", "gateway6"):
            gone.append((start, end))
        elif name == "nameservers":
            gone += _inner(value, (start, end), lines, [each for each in _pairs(value) if each[0].value == "addresses"])
        elif name == "routes":
            gone += _inner(value, (start, end), lines, [each for each in value.value if _is_default(each)])
        elif name == "dhcp4":
            asks = start
    indent = " " * body.start_mark.column
    first = asks if asks is not None else min((start for start, _ in gone), default=body.start_mark.line)
    parts = []
    for at, raw in enumerate(lines):
        if at == first:
            parts.append(f"{indent}dhcp4: true{_end(raw)}")
        if at != asks and not any(start <= at < end for start, end in gone):
            parts.append(raw)
    return "".join(parts)


def _spans(nodes: list[Any], last: int, lines: list[str]) -> list[tuple[int, int]]:
    """The lines of each of `nodes`, which follow each other up to `last`; comments behind the last are not its own."""
    starts = [node.start_mark.line for node in nodes]
    found = []
    for start, end in zip(starts, [*starts[1:], last]):
        while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
            end -= 1
        found.append((start, end))
    return found


def _inner(value: Any, whole: tuple[int, int], lines: list[str], wanted: list[Any]) -> list[tuple[int, int]]:
    """The lines of the `wanted` members of a mapping or sequence; all of it where nothing else is in it."""
    members = value.value if isinstance(value.value, list) else []
    if len(wanted) == len(members):
        return [whole]
    if value.flow_style:
        return []
    spans = _spans([each[0] if isinstance(each, tuple) else each for each in members], whole[1], lines)
    return [span for each, span in zip(members, spans) if each in wanted]


def _is_default(route: Any) -> bool:
    told = {key.value: value.value for key, value in _pairs(route)}
    return told.get("to") in ("default", "0.0.0.0/0", "0/0", "::/0")


def _end(raw: str) -> str:
    return "\r\n" if raw.endswith("\r\n") else "\n"
