"""What a driver refused is not asked of it again by the same process: first XDP is given up, then all programs."""

import pytest

from icshare.errors import HostError
from icshare.host import abilities as module
from icshare.host.abilities import Refusals
from icshare.model.fastpath import Abilities, KernelAbility, LinkAbility
from icshare.model.names import InterfaceName

WAN = InterfaceName("wan0")
_ALL = Abilities(
    kernel=KernelAbility(bpf=True, flowtable=True), links=(LinkAbility(name=WAN, native_xdp=True, sendable=True),)
)
_XDP, _TC = '{"hook": "xdp"}', '{"hook": "tc"}'


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Abilities | None]:
    """Give what the machine can do, to be changed."""
    held: list[Abilities | None] = [_ALL]
    monkeypatch.setattr(module, "abilities", lambda _: held[0])
    return held


def test_xdp_is_given_up_first_and_then_programs_at_all(found: list[Abilities | None]) -> None:
    refusals = Refusals()
    assert refusals.abilities([WAN]) == _ALL
    assert refusals.take(_XDP, HostError("no rings are left"))
    slower = refusals.abilities([WAN])
    assert slower is not None
    assert (slower.links[0].native_xdp, slower.links[0].why_not_native) == (False, "no rings are left")
    assert slower.kernel.bpf
    assert refusals.take(_TC, HostError("no memory"))
    slowest = refusals.abilities([WAN])
    assert slowest is not None
    assert (slowest.kernel.bpf, slowest.kernel.why_not_bpf) == (False, "no memory")
    assert not refusals.take(_TC, HostError("again"))
    found[0] = None
    assert refusals.abilities([WAN]) is None
