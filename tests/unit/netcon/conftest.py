import pytest
from tests.unit.netcon.fake import FakeSystem, small_host

from icshare.netcon import INetConnection, NetSharingManager
from icshare.netcon.session import Session


@pytest.fixture
def system() -> FakeSystem:
    return small_host()


@pytest.fixture
def manager(system: FakeSystem) -> NetSharingManager:
    return NetSharingManager(system)


@pytest.fixture
def conns(system: FakeSystem) -> dict[int, INetConnection]:
    session = Session(system=system)
    return {number: INetConnection(session, guid) for number, guid in enumerate(system.links, 1)}
