"""The demonstration: a whole sharing from before the first change to after the last trace, in a lab of its own.

Theory of operation
-------------------
Every step runs programs on the lab's nodes, the same that a user would type there, and looks at the facts they leave:
what a client holds, what a server saw, what does not answer. Nothing is taken for granted because a step before it
succeeded, and no fact is told that was not looked at. What ought not to answer is asked by the same programs that got
an answer where one was due.

A step that goes wrong is a finding like any other. Steps that make no sense after it are left out; stopping, and
looking for what is left, never are. The lab is taken down whatever happens.

With icshare itself on the gateway there are two runs where facts are needed: one prints what people see, the other,
with ``--json``, what is checked.
"""

import sys
import time
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec

from icshare.host import command
from icshare.lab import plan as p
from icshare.lab import rootless, traces
from icshare.lab.build import NETNS
from icshare.lab.drawing import draw
from icshare.lab.lab import Lab
from icshare.lab.plan import LabPlan, NodeName, lab_name
from icshare.lab.report import Ran, Report, Watcher
from icshare.lab.stage import SkippedError, Stage, last_line

PLAN = LabPlan(prefix=lab_name("demo"), privates=2)
PUBLIC, PRIVATES = "wan0", ("lan0", "lan1")
WEB = f"www.{p.ZONE}"
DOMAIN = "home.arpa"

_PROGRAMS = ("ip", "nft", "dnsmasq", "udhcpc", "busybox", "curl", "ping", "grep")
# Who may not answer is given this long, in seconds; those who do answer take a thousandth of it.
_SILENCE = "0.6"
# The kernel gives a link its IPv6 address only after a second or two of asking whether it is taken.
_SETTLE_SECONDS = 5.0
# Per address: was it connected to, and curl's exit status. Source: curl(1), ``--write-out`` and EXIT CODES.
_KNOCKED = "knock %{url} %{num_connects} %{exitcode}\\n"
_KNOCKS = {"7": "refused", "28": f"no answer in {_SILENCE} s"}


def run_demo(watcher: Watcher, *, width: int | None = None, plan: LabPlan = PLAN) -> Report:
    """Run the demonstration; everything it makes is gone when this returns or raises.

    Args:
        watcher: Is told of everything at the moment it happens.
        width: Columns of the terminal on which icshare's output will be shown; None for plain text.
        plan: The lab: two private links with a client on each.

    Raises:
        NotSupportedError: A program is missing; nothing was begun.
    """
    for program in _PROGRAMS:
        command.find_program(program)
    stage = Stage(watcher, width=width)
    lab = None
    try:
        with stage.step("lab", "A virtual Internet, a gateway and two clients"):
            lab = stage.timed("icshare lab up", lambda: Lab.up(plan))
            _Scenario(stage, lab).look_around()
        if lab is not None:
            _Scenario(stage, lab).play()
    finally:
        if lab is not None:
            lab.down()
    return stage.report()


class _Scenario:
    """The steps on a lab that is up."""

    def __init__(self, stage: Stage, lab: Lab) -> None:
        self._stage = stage
        self._lab = lab
        self._nodes = lab.plan.clients
        self._leases: dict[NodeName, IPv4Address] = {}
        self._gateway = ""
        self._network = ""

    def play(self) -> None:
        """Run everything after the first step."""
        step = self._stage.step
        with step("list", "What the gateway has to share"):
            self._list()
            before = self._before()
        if not self._stage.ok:
            return
        with step("share", f"Share {PUBLIC} with {' and '.join(PRIVATES)}"):
            self._share()
        if self._stage.ok:
            with step("lease", "The clients ask for an address"):
                self._lease()
            if self._stage.ok:
                with step("internet", "They use the Internet through the gateway"):
                    self._internet()
                with step("neighbours", "They reach each other by name"):
                    self._neighbours()
                with step("outside", "The Internet tries to get in"):
                    self._outside()
                with step("clients", "The gateway knows its clients"):
                    self._clients()
        with step("stop", "Stop sharing"):
            self._stop()
        with step("traces", "What is left on the gateway"):
            self._traces(before)

    def look_around(self) -> None:
        """The lab is there, apart from this machine; the gateway is online, the clients are not."""
        stage, lab = self._stage, self._lab
        stage.draw(draw(lab.plan))
        links = [link["ifname"] for link in _decode(command.run(["ip", "-json", "link", "show"]).stdout)]
        apart = rootless.is_inside() and links == ["lo"]
        stage.find(f"apart from this machine: of its links there is none in here, only {', '.join(links)}", ok=apart)
        found = lab.status()
        up = sum(node.present for node in found.nodes), sum(service.running for service in found.services)
        stage.find(
            f"{up[0]} of {len(found.nodes)} nodes and {up[1]} of {len(found.services)} processes are up",
            ok=found.healthy,
        )
        self._serve_web(p.GATEWAY)
        self._serve_web(self._nodes[0])
        page, knock = stage.run(
            lab,
            (p.GATEWAY, ["curl", "-sS", f"http://{WEB}/"]),
            (p.INTERNET, ["curl", "-sS", f"http://{p.UPLINK.ip}/"]),
        )
        stage.find(f"the gateway is online as {_seen_by(page)}", ok=_seen_by(page) == str(p.UPLINK.ip))
        reached = _seen_by(knock) == str(p.UPLINK_ROUTER)
        stage.find(f"its own web server is {'open' if reached else 'closed'} to the whole Internet", ok=reached)
        bare = [node for node in self._nodes if not self._address(node)]
        stage.find(f"still without an address: {', '.join(bare) or 'no client'}", ok=len(bare) == len(self._nodes))

    def _list(self) -> None:
        found = {one["interface"]: one for one in self._stage.facts(self._lab, "list", show=True)["connections"]}
        public = [name for name, one in found.items() if one["as_public"]["ok"]]
        private = [name for name, one in found.items() if one["as_private"]["ok"]]
        roles = [name for name, one in found.items() if one["role"] != "none"]
        self._stage.find(f"fit to be public: {', '.join(public) or 'nothing'}", ok=PUBLIC in public)
        self._stage.find(f"fit to be private: {', '.join(private) or 'nothing'}", ok=set(PRIVATES) <= set(private))
        self._stage.find(f"shared so far: {', '.join(roles) or 'nothing'}", ok=not roles)

    def _before(self) -> traces.Traces:
        deadline = time.monotonic() + _SETTLE_SECONDS
        while not (settled := traces.is_settled(self._lab, p.GATEWAY)) and time.monotonic() < deadline:
            pass  # each look takes some milliseconds
        before = traces.take(self._lab, p.GATEWAY)
        count = sum(map(len, before.values()))
        self._stage.find(f"noted, to be compared at the end: {count} facts about the gateway", ok=settled)
        return before

    def _share(self) -> None:
        stage = self._stage
        done = stage.icshare(self._lab, "share", "--verbose", PUBLIC, *PRIVATES)
        stage.find(f"ended after {done.seconds:.2f} s with exit status {done.status}", ok=done.status == 0)
        if done.status != 0:
            raise SkippedError
        found = stage.facts(self._lab, "status")
        wrong = [check["text"] for check in found["checks"] if check["grade"] == "failed"]
        stage.find(
            f"icshare status: {len(found['checks']) - len(wrong)} of {len(found['checks'])} checks passed"
            + "".join(f"; {text}" for text in wrong),
            ok=found["shared"] and found["healthy"] and bool(found["checks"]),
        )
        segment = found["segments"][0]
        self._gateway, self._network = segment["gateway"], segment["network"]
        stage.find(
            f"{' and '.join(segment['members'])} form one network, {self._network} on {segment['interface']}",
            ok=set(segment["members"]) == set(PRIVATES) and segment["bridged"],
        )

    def _lease(self) -> None:
        stage, lab = self._stage, self._lab
        lines = {
            node: ["udhcpc", "-f", "-n", "-q", "-t", "5", "-T", "1", "-i", "eth0", "-x", f"hostname:{node}"]
            for node in self._nodes
        }
        for node, ran in zip(lines, stage.run(lab, *lines.items()), strict=True):
            address = self._address(node)
            routes = _decode(lab.run(node, ["ip", "-json", "-4", "route", "show", "default"]).stdout)
            router = routes[0]["gateway"] if routes else "none"
            resolver = lab.path(node, "/etc/resolv.conf").read_text().partition("nameserver ")[2].strip() or "none"
            servers = f"gateway and DNS {router}" if router == resolver else f"gateway {router}, DNS {resolver}"
            stage.find(
                f"{node} has {address or 'no address'} after {ran.seconds:.2f} s, {servers}",
                ok=ran.status == 0 and router == resolver == self._gateway and bool(address),
            )
            if address:
                self._leases[node] = IPv4Address(address.partition("/")[0])
        own = len(set(self._leases.values()))
        stage.find(f"{own} different addresses for {len(lines)} clients", ok=own == len(lines))

    def _internet(self) -> None:
        stage, lab = self._stage, self._lab
        earlier = len(lab.seen("web"))
        resolve, fetch = ["busybox", "nslookup", "-type=a", WEB], ["curl", "-sS", f"http://{WEB}/"]
        answers = stage.run(lab, *((node, resolve) for node in self._nodes))
        pages = stage.run(lab, *((node, fetch) for node in self._nodes))
        for node, answer in zip(self._nodes, answers, strict=True):
            server, address = _field(answer, "Server:"), _field(answer, "Address: ")
            stage.find(
                f"{node} asks {server or 'nobody'} for {WEB}: {address or last_line(answer)}",
                ok=server == self._gateway and address == str(p.WEB_ADDRESS),
            )
        for node, page in zip(self._nodes, pages, strict=True):
            words = last_line(page).partition(", port ")[0]
            stage.find(f"{node} gets the page: {words}", ok=_seen_by(page) == str(p.UPLINK.ip))
        sources = [entry.source for entry in lab.seen("web")[earlier:]]
        stage.find(
            f"the server's log: {len(sources)} requests, from {', '.join(sorted(set(map(str, sources)))) or 'nobody'}",
            ok=len(sources) == len(self._nodes) and set(sources) == {p.UPLINK.ip},
        )

    def _neighbours(self) -> None:
        first, second = self._nodes
        ping, page = self._stage.run(
            self._lab,
            (first, ["ping", "-c", "1", "-W", "2", f"{second}.{DOMAIN}"]),
            (second, ["curl", "-sS", "--max-time", "2", f"http://{first}.{DOMAIN}/"]),
        )
        trip = ping.output.partition("time=")[2].partition("\n")[0]
        named = f"({self._leases[second]})" in ping.output
        self._stage.find(
            f"{first} pings {second}.{DOMAIN}" + (f" at {self._leases[second]}: {trip}" if trip else ": no answer"),
            ok=ping.status == 0 and named and bool(trip),
        )
        self._stage.find(
            f"{second} gets {first}'s own page as {_seen_by(page) or 'nobody'}: between them there is no NAT",
            ok=_seen_by(page) == str(self._leases[second]),
        )

    def _outside(self) -> None:
        stage, lab = self._stage, self._lab
        target = self._nodes[0]
        way_in = ["ip", "route", "add", self._network, "via", str(p.UPLINK.ip)]
        (route,) = stage.run(lab, (p.INTERNET, way_in))
        stage.find(f"the Internet has a route to {self._network} through the gateway", ok=route.status == 0)
        client = self._leases[target]
        urls = [f"http://{p.UPLINK.ip}:{{22,53,80}}/", f"http://{client}/"]
        ask_dns = ["busybox", "nslookup", "-type=a", "-timeout=1", "-retry=1", WEB, str(p.UPLINK.ip)]
        ask_dhcp = ["udhcpc", "-f", "-n", "-q", "-t", "1", "-T", "1", "-i", "isp0", "-s", "/bin/true"]
        knocks, dns, dhcp = stage.run(
            lab,
            (p.INTERNET, ["curl", "-Z", "--no-progress-meter", "--max-time", _SILENCE, "-w", _KNOCKED, *urls]),
            (p.INTERNET, ask_dns),
            (p.INTERNET, ask_dhcp),
        )
        answers = {
            words[1]: words[2:] for words in map(str.split, knocks.output.splitlines()) if words[:1] == ["knock"]
        }
        for url in (*(f"http://{p.UPLINK.ip}:{port}/" for port in (22, 53, 80)), f"http://{client}/"):
            connected, status = answers.get(url, ("", ""))
            outcome = _KNOCKS.get(status, "not tried") if connected == "0" else "OPEN"
            whose = f" ({target} itself)" if str(client) in url else ""
            stage.find(f"TCP {url}{whose}: {outcome}", ok=connected == "0" and status in _KNOCKS)
        silent = dns.status != 0 and str(p.WEB_ADDRESS) not in dns.output
        stage.find(f"DNS at {p.UPLINK.ip}: {'no answer' if silent else 'ANSWERS'}", ok=silent)
        silent = dhcp.status != 0 and "no lease" in dhcp.output
        stage.find(f"DHCP on the public link: {'no answer' if silent else 'ANSWERS'}", ok=silent)

    def _clients(self) -> None:
        found = {one["name"]: one for one in self._stage.facts(self._lab, "clients", show=True)["clients"]}
        for node, address in self._leases.items():
            one = found.get(node)
            self._stage.find(
                f"{node} is listed with {one['address']}, {'leased' if one['leased'] else 'not leased'}"
                if one
                else f"{node} is not listed",
                ok=one is not None and one["address"] == str(address) and one["leased"],
            )

    def _stop(self) -> None:
        stage = self._stage
        done = stage.icshare(self._lab, "stop")
        stage.find(f"ended after {done.seconds:.2f} s with exit status {done.status}", ok=done.status == 0)
        shared = stage.facts(self._lab, "status")["shared"]
        stage.find(f"icshare status: {'still shared' if shared else 'nothing is shared'}", ok=not shared)

    def _traces(self, before: traces.Traces) -> None:
        stage, lab = self._stage, self._lab
        deadline = time.monotonic() + _SETTLE_SECONDS
        after = traces.take(lab, p.GATEWAY)
        while traces.differences(before, after) and time.monotonic() < deadline:
            after = traces.take(lab, p.GATEWAY)
        changed = traces.differences(before, after)
        for what, lines in before.items():
            outcome = "; ".join(changed[what]) if what in changed else "the very same"
            stage.find(f"{what}: {len(lines)} before, {len(after[what])} now, {outcome}", ok=what not in changed)
        (knock,) = stage.run(lab, (p.INTERNET, ["curl", "-sS", f"http://{p.UPLINK.ip}/"]))
        reached = _seen_by(knock) == str(p.UPLINK_ROUTER)
        stage.find(f"the gateway's web server: {'open as before' if reached else 'still closed'}", ok=reached)
        stage.timed("icshare lab down", lab.down)
        places = [*(NETNS / lab.namespace(node) for node in lab.plan.nodes), lab.directory]
        left = [str(place) for place in places if place.exists()]
        stage.find(f"of the lab is left: {', '.join(left) or 'nothing'}", ok=not left)

    def _serve_web(self, node: NodeName) -> None:
        # What it sees it forgets: a log would be a difference between before and after.
        program = str(Path(__file__).with_name("services.py"))
        argv = [sys.executable, "-IS", program, "--log", "/dev/null", "--web", "0.0.0.0"]  # noqa: S104 - to be closed
        self._lab.run(node, argv, timeout=10)

    def _address(self, node: NodeName) -> str:
        """Return *node*'s address with its prefix length, "" when it has none."""
        found = _decode(self._lab.run(node, ["ip", "-json", "-4", "address", "show", "dev", "eth0"]).stdout)
        return next((f"{one['local']}/{one['prefixlen']}" for link in found for one in link.get("addr_info", ())), "")


def _decode(output: str) -> Any:  # noqa: ANN401 (a JSON document)
    return msgspec.json.decode(output) if output.strip() else []


def _seen_by(ran: Ran) -> str:
    """Return the address that the lab's web server says the client came from; "" when there is no page."""
    return ran.output.partition("You came from ")[2].partition(",")[0]


def _field(ran: Ran, label: str) -> str:
    """Return the word behind *label* in the output, "" when it is not there."""
    return next(iter(ran.output.partition(label)[2].split()), "")
