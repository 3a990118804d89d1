"""Everything on a node that a program could leave behind, to be compared before and after."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from icshare.lab.build import NETNS
from icshare.lab.lab import Lab
from icshare.lab.processes import namespace_of

Traces = Mapping[str, tuple[str, ...]]
"""Kind of trace -> one line for each, sorted."""

_IP = {
    "links": (("-details", "link", "show"),),
    "routes": (("-4", "route", "show", "table", "all"), ("-6", "route", "show", "table", "all")),
    "rules": (("-4", "rule", "show"), ("-6", "rule", "show")),
}
# Of a BPF program: its number, the time when it was loaded, the number of its type information.
_OF_THE_LOAD = frozenset({"id", "load_time", "btf_id"})
_OWN_DIRECTORIES = ("/run", "/etc", "/var/lib", "/var/log")
# No settings: one counts the connections of the moment, the other is drawn by the kernel when it is first needed.
_NO_SETTINGS = ("/proc/sys/net/netfilter/nf_conntrack_count:", "/proc/sys/net/ipv4/tcp_fastopen_key:")


def take(lab: Lab, node: str) -> Traces:
    """Return the traces on *node*: all of its network, its processes and its files.

    BPF programs are told by their tag, a hash of what they do, not by what they got when they were loaded.

    Raises:
        HostError: Something could not be read.
    """
    found = {
        what: [line for command in commands for line in _ip(lab, node, *command)] for what, commands in _IP.items()
    }
    found["addresses"] = [
        f"{link['ifname']} {_line(address)}"
        for link in _json(lab, node, ["ip", "-json", "address", "show"])
        for address in link.get("addr_info", ())
    ]
    found["neighbours"] = [
        f"{one['dev']} {one['dst']} {one['lladdr']}"
        for one in _json(lab, node, ["ip", "-json", "neigh", "show"])
        if "lladdr" in one  # without, the kernel is still asking, or has asked in vain
    ]
    found["queueing"] = list(_queueing(lab, node))
    ruleset = _json(lab, node, ["nft", "-json", "list", "ruleset"])["nftables"]
    found["nftables"] = [_line(one) for one in ruleset if "metainfo" not in one]
    found["sysctls"] = _sysctls(lab, node)
    found["processes"] = list(_processes(lab, node))
    found["files"] = [line for place in _OWN_DIRECTORIES for line in _files(lab.path(node, place), place)]
    return {what: tuple(sorted(lines)) for what, lines in found.items()}


def is_settled(lab: Lab, node: str) -> bool:
    """Tell whether the kernel has made up its mind about every IPv6 address on *node* (RFC 4862, section 5.4)."""
    found = _json(lab, node, ["ip", "-json", "-6", "address", "show"])
    return not any("tentative" in address for link in found for address in link.get("addr_info", ()))


def differences(before: Traces, after: Traces) -> Mapping[str, tuple[str, ...]]:
    """Return, for each kind of trace that is not as before, the lines that are new ("+") or gone ("-")."""
    changed = {}
    for what, old in before.items():
        new = after[what]
        lines = [f"- {line}" for line in old if line not in new] + [f"+ {line}" for line in new if line not in old]
        if old != new:
            changed[what] = tuple(lines)
    return changed


def _queueing(lab: Lab, node: str) -> Iterator[str]:
    for discipline in _json(lab, node, ["tc", "-json", "qdisc", "show"]):
        yield _line(discipline)
        if discipline["kind"] in {"clsact", "ingress"}:
            link = discipline["dev"]
            for side in ("ingress", "egress"):
                filters = _json(lab, node, ["tc", "-json", "filter", "show", "dev", link, side])
                yield from (f"{link} {side} {_line(one)}" for one in filters)


def _ip(lab: Lab, node: str, *command: str) -> list[str]:
    return [_line(entry) for entry in _json(lab, node, ["ip", "-json", *command])]


def _json(lab: Lab, node: str, argv: list[str]) -> Any:  # noqa: ANN401 (a JSON document)
    output = lab.run(node, argv, timeout=10).stdout
    return msgspec.json.decode(output) if output.strip() else []


def _line(entry: object) -> str:
    return msgspec.json.encode(_lasting(entry), order="deterministic").decode()


def _lasting(entry: object) -> object:
    """Return *entry* without what BPF programs get when they are loaded, anew each time."""
    if isinstance(entry, dict):
        passing = _OF_THE_LOAD if "tag" in entry else frozenset()
        return {key: _lasting(value) for key, value in entry.items() if key not in passing}
    return [_lasting(one) for one in entry] if isinstance(entry, list) else entry


def _sysctls(lab: Lab, node: str) -> list[str]:
    # Some settings cannot be read (a secret that was never set), so the status is 2.
    lines = lab.run(node, ["grep", "--recursive", "--no-messages", "", "/proc/sys/net"], check=False, timeout=10).stdout
    return [line for line in lines.splitlines() if not line.startswith(_NO_SETTINGS)]


def _processes(lab: Lab, node: str) -> Iterator[str]:
    space = (NETNS / lab.namespace(node)).stat()
    for pid in sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        if namespace_of(pid) == (space.st_dev, space.st_ino):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            yield f"{pid} {b' '.join(words).decode(errors='replace').rstrip()}"


def _files(directory: Path, shown: str) -> Iterator[str]:
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            path = Path(parent, name)
            info = path.lstat()
            line = f"{shown}/{path.relative_to(directory)} {info.st_mode:o} {info.st_uid}:{info.st_gid}"
            if path.is_symlink():
                yield f"{line} -> {path.readlink()}"
            elif path.is_file():
                yield f"{line} {hashlib.sha256(path.read_bytes()).hexdigest()}"
            else:
                yield line
