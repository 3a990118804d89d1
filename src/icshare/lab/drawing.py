"""Draw a lab with box characters, some 78 columns wide. Pure: plan in, text out."""

from collections.abc import Sequence

from icshare.lab import plan as p
from icshare.lab.plan import LabPlan
from icshare.lab.topology import private_link

# Columns at which the three boxes begin, and their widths, borders included.
_INTERNET_AT, _INTERNET_WIDTH = 0, 26
_GATEWAY_AT, _GATEWAY_WIDTH = 33, 21
_CLIENT_AT, _CLIENT_WIDTH = 61, 17

# With more private links than this, only the first ones and the last are drawn.
_DRAWN = 4
_BOX_ROWS = 3

_ASCII = str.maketrans({**dict.fromkeys("┌┐└┘├┤", "+"), "─": "-", "│": "|", "⋮": ":", "…": "~"})


def draw(plan: LabPlan) -> str:
    """Return a picture of the lab: every node and link with its name, and the addresses that are given beforehand."""
    canvas = _Canvas()
    servers = _servers(plan)
    shown = _shown(plan.privates)
    uplinks = 2 if plan.second_uplink else 1
    height = max(len(servers) + 3 * uplinks + 1, _BOX_ROWS * len(shown))
    canvas.box(_INTERNET_AT, 0, _INTERNET_WIDTH, height, "inet: the Internet")
    canvas.text(_INTERNET_AT + 2, 1, f"{p.ZONE}:")
    for row, (name, server) in enumerate(servers, 2):
        canvas.text(_INTERNET_AT + 2, row, f"  {name:<7}{server}")
    canvas.box(_GATEWAY_AT, 0, _GATEWAY_WIDTH, height, "gw: the gateway")
    links = (("isp0", "wan0", p.UPLINK_ROUTER, p.UPLINK), ("isp1", "wan1", p.SECOND_UPLINK_ROUTER, p.SECOND_UPLINK))
    for number, (far, near, router, address) in enumerate(links[:uplinks]):
        row = height - 3 * (uplinks - number) + 1
        canvas.wire(_INTERNET_AT + _INTERNET_WIDTH - 1, _GATEWAY_AT, row)
        canvas.text(_INTERNET_AT + _INTERNET_WIDTH - 6, row, far)
        canvas.text(_INTERNET_AT + 2, row, str(router))
        canvas.text(_GATEWAY_AT + 2, row, near)
        canvas.text(_GATEWAY_AT + 2, row + 1, str(address.ip))
    for place, drawn in enumerate(shown):
        row = 1 + _BOX_ROWS * place
        if drawn is None:
            canvas.text(_GATEWAY_AT + _GATEWAY_WIDTH - 4, row, "⋮")
            canvas.text(_CLIENT_AT + 2, row, f"⋮ {plan.privates - _DRAWN + 1} more")
            continue
        link = private_link(drawn)
        canvas.box(_CLIENT_AT, row - 1, _CLIENT_WIDTH, _BOX_ROWS - 1, _clients(plan, drawn))
        canvas.text(_CLIENT_AT + 2, row, "eth0, by DHCP")
        canvas.wire(_GATEWAY_AT + _GATEWAY_WIDTH - 1, _CLIENT_AT, row)
        canvas.text(_GATEWAY_AT + _GATEWAY_WIDTH - 2 - len(link), row, link)
    return str(canvas)


def to_ascii(drawing: str) -> str:
    """Return *drawing* for a terminal that knows no box characters."""
    return drawing.translate(_ASCII)


def _servers(plan: LabPlan) -> Sequence[tuple[str, str]]:
    left_out = {p.FTP_ADDRESS} if not plan.ftp else set()
    if plan.far_mtu is None:
        left_out.add(p.FAR_ADDRESS)
    return [
        (name.removesuffix(f".{p.ZONE}"), str(address)) for name, address in p.HOSTS.items() if address not in left_out
    ]


def _shown(privates: int) -> Sequence[int | None]:
    """Return the private links to draw; None stands for those left out."""
    if privates <= _DRAWN:
        return range(privates)
    return [*range(_DRAWN - 2), None, privates - 1]


def _clients(plan: LabPlan, link: int) -> str:
    first = link * plan.clients_per_private
    last = first + plan.clients_per_private - 1
    return plan.clients[first] if first == last else f"{plan.clients[first]} … {plan.clients[last]}"


class _Canvas:
    """Rows of characters that grow as they are drawn on."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], str] = {}

    def __str__(self) -> str:
        rows = max(row for row, _ in self._cells) + 1
        lines = []
        for row in range(rows):
            columns = [column for at, column in self._cells if at == row]
            lines.append("".join(self._cells.get((row, column), " ") for column in range(max(columns, default=-1) + 1)))
        return "\n".join(line.rstrip() for line in lines)

    def text(self, column: int, row: int, text: str) -> None:
        self._cells.update({(row, column + offset): letter for offset, letter in enumerate(text)})

    def box(self, column: int, row: int, width: int, height: int, title: str) -> None:
        """Draw a frame of *width* columns, its lower edge *height* rows below its upper one."""
        inner = width - 2
        self.text(column, row, f"┌─ {title} {'─' * (inner - len(title) - 3)}┐")
        for side in range(row + 1, row + height):
            self.text(column, side, "│")
            self.text(column + width - 1, side, "│")
        self.text(column, row + height, f"└{'─' * inner}┘")

    def wire(self, start: int, end: int, row: int) -> None:
        """Join the side of one box to the side of another."""
        self.text(start, row, f"├{'─' * (end - start - 1)}┤")
