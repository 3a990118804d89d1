"""What a lab writes down comes back, or is refused with one clear error."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from icshare.errors import InvalidRequestError
from icshare.lab.plan import LabPlan, lab_name
from icshare.lab.state import FILE, Keeper, LabState, Phase, Service, load, save

NAME = lab_name("x")
STATE = LabState(
    phase=Phase.UP,
    plan=LabPlan(prefix=NAME, privates=3, far_mtu=1300),
    keeper=Keeper(pid=10, started=5, mnt={"gw": 3}, uts={"gw": 4}),
    services=(Service(name="dns", node="inet", pid=11, started=6),),
)


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    save(tmp_path, STATE)
    assert load(tmp_path, NAME) == STATE
    assert [entry.name for entry in tmp_path.iterdir()] == [FILE]


def test_a_lab_that_wrote_nothing_has_no_state(tmp_path: Path) -> None:
    assert load(tmp_path, NAME) is None


def test_a_state_of_another_lab_is_refused(tmp_path: Path) -> None:
    save(tmp_path, STATE)
    with pytest.raises(InvalidRequestError, match="belongs to the lab x"):
        load(tmp_path, lab_name("y"))


def test_a_state_of_a_future_version_says_so(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"version": 2, "shape": "unknown"}')
    with pytest.raises(InvalidRequestError, match="of version 2"):
        load(tmp_path, NAME)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"prefix": "x"', '"prefix": "../../etc"'),
        ('"privates": 3', '"privates": 3000'),
        ('"pid": 10', '"pid": 1'),
        ('"pid": 11', '"pid": -1'),
        ('"phase": "up"', '"phase": "sideways"'),
        ('"phase"', '"unknown": 1, "phase"'),
        ('"node": "inet"', '"node": 5'),
    ],
)
def test_hostile_values_are_refused(tmp_path: Path, old: str, new: str) -> None:
    save(tmp_path, STATE)
    text = (tmp_path / FILE).read_text()
    assert old in text
    (tmp_path / FILE).write_text(text.replace(old, new))
    with pytest.raises(InvalidRequestError, match="is damaged"):
        load(tmp_path, NAME)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_truncated_or_garbled_file_is_one_clear_error(tmp_path: Path, data: st.DataObject) -> None:
    save(tmp_path, STATE)
    whole = (tmp_path / FILE).read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 2))
    garbled = whole[:cut] + data.draw(st.binary(max_size=20))
    assume(not garbled.strip().endswith(b"}"))  # what was cut off may not grow again
    (tmp_path / FILE).write_bytes(garbled)
    with pytest.raises(InvalidRequestError) as caught:
        load(tmp_path, NAME)
    assert str(tmp_path / FILE) in caught.value.message
    assert caught.value.hint
