"""The picture of a lab."""

import pytest

from icshare.lab.drawing import draw, to_ascii
from icshare.lab.plan import LabPlan

TWO = """\
┌─ inet: the Internet ───┐       ┌─ gw: the gateway ─┐       ┌─ c0 ──────────┐
│ example.net:           │       │              lan0 ├───────┤ eth0, by DHCP │
│   www    203.0.113.80  │       │                   │       └───────────────┘
│   echo   203.0.113.7   │       │                   │       ┌─ c1 ──────────┐
│   ns     203.0.113.53  │       │              lan1 ├───────┤ eth0, by DHCP │
│   router 203.0.113.1   │       │                   │       └───────────────┘
│ 198.51.100.1      isp0 ├───────┤ wan0              │
│                        │       │ 198.51.100.2      │
└────────────────────────┘       └───────────────────┘"""


def test_two_privates_are_drawn_with_names_and_addresses() -> None:
    assert draw(LabPlan()) == TWO


@pytest.mark.parametrize("privates", [1, 2, 3, 4, 5, 6, 63, 64])
@pytest.mark.parametrize("second_uplink", [False, True])
@pytest.mark.parametrize("clients", [1, 8])
def test_every_picture_fits_a_terminal_and_has_whole_boxes(privates: int, second_uplink: bool, clients: int) -> None:
    plan = LabPlan(privates=privates, second_uplink=second_uplink, clients_per_private=clients, ftp=True, far_mtu=1400)
    picture = draw(plan)
    lines = picture.splitlines()
    assert max(map(len, lines)) <= 78
    assert len(lines) <= 20
    for corner in "┌┐└┘":
        assert picture.count(corner) == 2 + min(privates, 3 if privates > 4 else 4)
    assert (
        picture.count("├")
        == picture.count("┤")
        == (2 if second_uplink else 1) + min(privates, 3 if privates > 4 else 4)
    )
    assert ("wan1" in picture) is second_uplink
    assert f"lan{privates - 1} ├" in picture
    assert ("more" in picture) is (privates > 4)


def test_links_left_out_are_counted() -> None:
    assert "⋮ 61 more" in draw(LabPlan(privates=64))


def test_a_terminal_without_box_characters_gets_ascii() -> None:
    picture = to_ascii(draw(LabPlan(privates=64, clients_per_private=2)))
    assert picture.isascii()
    assert picture.splitlines()[0].startswith("+- inet: the Internet ---+")
