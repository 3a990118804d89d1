"""Our tables in the kernel: loaded, found again, read, dropped."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

from icshare.errors import HostError, NotSupportedError, PrivilegeError
from icshare.host.nft import Nftables
from icshare.host.sockets import Flow, established_flows
from icshare.model.client import Traffic
from icshare.model.names import MacAddress
from icshare.plan.steps import digest
from icshare.render.firewall import FIREWALL_TABLE
from icshare.render.nft import CLIENT_DAYS, DHCP_WINDOW_SECONDS, TABLE
from icshare.render.text import chain, rule, rules_of

_BOOTP_CLIENT = 68
_MARK = "version"

ALTERED = "altered"
"""In place of the digest: the table is ours, and somebody has changed it."""


def load(text: str) -> None:
    """Load the sharing's table in one transaction, marked with its digest and an outline of its chains.

    Raises:
        HostError: nft or the kernel refused.
    """
    with Nftables() as nft:
        _wake(nft, TABLE)
        nft.load(_clearance(nft, TABLE, text) + text + _tag(TABLE, text))


def _wake(nft: Nftables, table: str) -> None:
    """Have our *table* work if somebody has laid it to rest, which the kernel takes in no transaction with others."""
    if _is_dormant(_of_table(nft, table)):
        nft.load(f"add table inet {table}\n")


def _is_dormant(found: Mapping[str, list[dict[str, Any]]]) -> bool:
    return any("flags" in one for one in found["table"])


def _clearance(nft: Nftables, table: str, text: str) -> str:
    """Return what takes away of our *table* what *text* would leave.

    That is a flowtable, and with it all that was allowed by the rules before, and chains that it does not have; where
    somebody has changed the table all chains, with the maps that lead to them.
    """
    found = _of_table(nft, table)
    chains = [one["name"] for one in found["chain"]]
    unwanted = [("flowtable", one["name"]) for one in found["flowtable"]]
    if found["table"] and _version(found) == ALTERED:
        unwanted += [("map", one["name"]) for one in found["map"] if one["map"] == "verdict"]
        unwanted += [("chain", name) for name in chains]
    else:
        unwanted += [("chain", name) for name in chains if name not in {_MARK, *rules_of(text)}]
    if not unwanted:
        return ""
    return f"flush table inet {table}\n" + "".join(f"delete {what} inet {table} {name}\n" for what, name in unwanted)


def _of_table(nft: Nftables, table: str) -> dict[str, list[dict[str, Any]]]:
    """Return what a table of ours has, by kind, as nft describes it; "table" is [] without it."""
    found: dict[str, list[dict[str, Any]]] = {"table": [], "chain": [], "rule": [], "map": [], "flowtable": []}
    for item in nft.list_json("ruleset inet", elements=False):
        for what, one in item.items():
            if what in found and one["name" if what == "table" else "table"] == table:
                found[what].append(one)
    return found


def load_firewall(text: str) -> None:
    """Load the connection firewall's table in one transaction, marked likewise.

    With its first load connection tracking begins, and to it every connection that exists looks new. So the same
    transaction lists them, for the firewall to let them go on.

    Raises:
        HostError: nft or the kernel refused.
    """
    with Nftables() as nft:
        fresh = not nft.table_exists("inet", FIREWALL_TABLE)
        older = _older(established_flows()) if fresh else ""
        _wake(nft, FIREWALL_TABLE)
        nft.load(_clearance(nft, FIREWALL_TABLE, text) + text + _tag(FIREWALL_TABLE, text) + older)


def _tag(table: str, text: str) -> str:
    mark = rule("counter", f"version {digest(text)} {_outline(rules_of(text))}")
    return f"table inet {table} {{\n{chain(_MARK, '', [mark])}\n}}\n"


def _outline(rules: Mapping[str, Sequence[str]]) -> str:
    """Return what tells chains with rules for these reasons from others."""
    return digest(" ".join(f"{name}:{list(reasons)}" for name, reasons in sorted(rules.items())))


def refusal(text: str) -> str | None:
    """Return why the kernel would not take *text*, None when it would."""
    with Nftables() as nft:
        return nft.check(text)


def refusal_to_load(text: str) -> str | None:
    """Return why the kernel would not take *text* in place of what our tables are now, None when it would."""
    with Nftables() as nft:
        before = ""
        for table in (FIREWALL_TABLE, TABLE):
            dormant = _is_dormant(_of_table(nft, table))  # a dry run cannot wake it first
            before += f"delete table inet {table}\n" if dormant else _clearance(nft, table, text)
        return nft.check(before + text)


def flowtable_devices() -> tuple[str, ...]:
    """Return the links whose packets our flowtable gets, () without one."""
    with Nftables() as nft:
        found = [one.get("dev", []) for one in _of_table(nft, TABLE)["flowtable"]]
    return tuple(str(name) for one in found for name in ([one] if isinstance(one, str) else one))


def drop(table: str = TABLE) -> None:
    """Delete a table of ours; that it is gone is no error."""
    with Nftables() as nft:
        nft.load(f"add table inet {table}\ndelete table inet {table}\n")


def learn_public_addresses(addresses: Iterable[IPv4Address]) -> None:
    """Tell the sharing's table addresses of the public link, which it would else learn with the next connection."""
    listed = ", ".join(dict.fromkeys(str(address) for address in addresses))
    if listed:
        with Nftables() as nft:
            nft.load(f"add element inet {TABLE} public_addresses {{ {listed} }}\n")


def loaded(table: str = TABLE) -> str | None:
    """Return the digest of the loaded text of a table of ours, or `ALTERED`; None when there is no table.

    Without the privilege to look it is None too.

    Raises:
        HostError: A table of that name is somebody else's; to load ours would destroy it.
    """
    try:
        with Nftables() as nft:
            found = _of_table(nft, table)
    except (PrivilegeError, NotSupportedError):
        return None
    if not found["table"]:
        return None
    if not any(one["name"] == _MARK for one in found["chain"]):
        raise HostError(
            f"there is a table inet {table} that icshare did not load",
            hint=f"rename it, or remove it by: nft delete table inet {table}",
        )
    return _version(found)


def _version(found: Mapping[str, list[dict[str, Any]]]) -> str:
    """Return the digest of the loaded text, or `ALTERED`: by chains, reasons of rules, a policy, a dormant table."""
    rules: dict[str, list[str]] = {one["name"]: [] for one in found["chain"]}
    for one in found["rule"]:
        rules[one["chain"]].append(str(one.get("comment", "")).removeprefix("icshare: "))
    mark = rules.pop(_MARK, [])
    version, _, outline = mark[0].removeprefix("version ").partition(" ") if mark else ("", "", "")
    closed = any(one.get("policy", "accept") != "accept" for one in found["chain"])
    return ALTERED if outline != _outline(rules) or closed or _is_dormant(found) else version


def may_look() -> bool:
    """Tell whether this process may read the kernel's ruleset."""
    try:
        with Nftables():
            return True
    except PrivilegeError:
        return False


def foreign() -> tuple[list[dict[str, Any]], str]:
    """Return everybody else's tables, as nft's JSON objects and as their text with handles.

    The JSON is for reading; only the text tells what iptables' extensions match.

    A table that goes while they are read counts as gone.

    Raises:
        PrivilegeError: They may not be read.
        HostError: One of them cannot be read.
    """
    objects: list[dict[str, Any]] = []
    texts: list[str] = []
    with Nftables() as nft:
        for name in _foreign_names(nft):
            try:
                listed, text = nft.list_json(name), nft.list_text(name)
            except HostError:
                if name in _foreign_names(nft):
                    raise
                continue
            objects += [item for item in listed if "metainfo" not in item]
            texts.append(text)
    return objects, "".join(texts)


def _foreign_names(nft: Nftables) -> list[str]:
    tables = [item["table"] for item in nft.list_json(elements=False) if "table" in item]
    return [
        f"table {table['family']} {table['name']}"
        for table in tables
        if (table["family"], table["name"]) not in {("inet", TABLE), ("inet", FIREWALL_TABLE)}
    ]


def open_dhcp_window() -> None:
    """Let DHCP servers that answer from now on silence ours, for `DHCP_WINDOW_SECONDS`; earlier answers still count."""
    element = f"element inet {TABLE} dhcp_window {{ {_BOOTP_CLIENT}"
    with Nftables() as nft:
        nft.load(
            f"add {element} timeout {DHCP_WINDOW_SECONDS}s }}\n"
            f"delete {element} }}\n"
            f"add {element} timeout {DHCP_WINDOW_SECONDS}s }}\n"
        )


def foreign_dhcp_servers() -> tuple[bool, tuple[tuple[IPv4Address, MacAddress], ...]]:
    """Return whether ours is silenced, and every other DHCP server heard on the segment within the hour.

    Without our table nothing was heard.
    """
    with Nftables() as nft:
        if not nft.table_exists("inet", TABLE):
            return False, ()
        silenced = bool(_elements(nft, "dhcp_foreign"))
        heard = [
            one["concat"] if "concat" in one else one["elem"]["val"]["concat"] for one in _elements(nft, "dhcp_servers")
        ]
    return silenced, tuple((IPv4Address(address), MacAddress(mac)) for address, mac in heard)


def client_traffic() -> dict[IPv4Address, Traffic]:
    """Return what each client has exchanged with the Internet since sharing began; nothing without our table."""
    with Nftables() as nft:
        if not nft.table_exists("inet", TABLE):
            return {}
        sent = {IPv4Address(one["elem"]["val"]): one["elem"] for one in _elements(nft, "sent")}
        received = {IPv4Address(one["elem"]["val"]): one["elem"] for one in _elements(nft, "received")}
    return {
        address: Traffic(
            sent=_bytes(sent.get(address)), received=_bytes(received.get(address)), seconds=_age(sent.get(address))
        )
        for address in sorted({*sent, *received})
    }


def _bytes(element: dict[str, Any] | None) -> int:
    return int(element["counter"]["bytes"]) if element else 0


def _age(element: dict[str, Any] | None) -> int | None:
    return CLIENT_DAYS * 86_400 - int(element["expires"]) if element else None


def _elements(nft: Nftables, name: str) -> list[Any]:
    for item in nft.list_json(f"set inet {TABLE} {name}"):
        if "set" in item:
            return list(item["set"].get("elem", []))
    return []


def _older(flows: tuple[Flow, ...]) -> str:
    lines = []
    for version in (4, 6):
        elements = [
            f"{flow.protocol} . {flow.remote} . {flow.remote_port} . {flow.local} . {flow.local_port}"
            for flow in flows
            if flow.local.version == version and flow.remote.version == version
        ]
        if elements:
            lines.append(
                f"add element inet {FIREWALL_TABLE} older{version} {{ {', '.join(dict.fromkeys(elements))} }}\n"
            )
    return "".join(lines)
