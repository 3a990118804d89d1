"""How expressions behave in the three styles, cell by cell."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.windows.machine import Windows, windows

STYLES = ("late-bound", "makepy", "comtypes")
LATE, MAKEPY, COMTYPES = STYLES

E_UNEXPECTED = -2147418113
E_INVALIDARG = -2147024809
E_ACCESSDENIED = -2147024891
E_POINTER = -2147467261
E_NOINTERFACE = -2147467262
ALREADY_EXISTS = -2147024713


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One style on a new machine.

    Attributes:
        style: Its name.
        windows: The modules.
        create: Creates an object.
        failure: What a failing call raises.
    """

    style: str
    windows: Windows
    create: Callable[..., Any]
    failure: type[Exception]

    def code(self, call: Callable[[], object]) -> int:
        """Return the code of the object with which *call* fails."""
        with pytest.raises(self.failure) as caught:
            call()
        error: Any = caught.value
        if self.style == COMTYPES:
            assert error.args == (error.hresult, error.text, error.details)
            assert len(error.details) == 5
            return int(error.hresult)
        assert error.args == (error.hresult, error.strerror, error.excepinfo, error.argerror)
        assert error.hresult == -2147352567
        assert len(error.excepinfo) == 6
        return int(error.excepinfo[5])


def _binding(style: str) -> Binding:
    made = windows()
    content: Any = made.modules
    create, failure = {
        LATE: (content["win32com.client"]["Dispatch"], content["pythoncom"]["com_error"]),
        MAKEPY: (content["win32com.client.gencache"]["EnsureDispatch"], content["pythoncom"]["com_error"]),
        COMTYPES: (content["comtypes.client"]["CreateObject"], content["comtypes"]["COMError"]),
    }[style]
    return Binding(style=style, windows=made, create=create, failure=failure)


@pytest.fixture(params=STYLES)
def binding(request: pytest.FixtureRequest) -> Binding:
    return _binding(request.param)


@pytest.fixture
def manager(binding: Binding) -> Any:
    return binding.create("HNetCfg.HNetShare")


def _first(manager: Any) -> Any:
    return next(iter(manager.EnumEveryConnection))


def test_a_property_without_argument_is_read_by_its_name(manager: Any) -> None:
    assert len(manager.EnumEveryConnection) == 9
    assert manager.SharingInstalled is True


def test_calling_such_a_property_fails(binding: Binding, manager: Any) -> None:
    with pytest.raises(binding.failure if binding.style == LATE else TypeError) as caught:
        manager.EnumEveryConnection()
    if binding.style == LATE:
        assert caught.value.args == (-2147352573, "Member not found.", None, None)


def test_a_property_with_arguments_is_called(manager: Any) -> None:
    assert manager.NetConnectionProps(_first(manager)).Name == "Ethernet"


def test_only_comtypes_indexes_a_property_with_arguments(binding: Binding, manager: Any) -> None:
    if binding.style == COMTYPES:
        assert manager.NetConnectionProps[_first(manager)].Name == "Ethernet"
        return
    with pytest.raises(TypeError):
        manager.NetConnectionProps[_first(manager)]


def test_invoke_is_for_powershell_only(manager: Any) -> None:
    with pytest.raises(AttributeError):
        manager.NetConnectionProps.Invoke(_first(manager))


def test_iterating_connections_gives_opaque_objects_with_identity(binding: Binding, manager: Any) -> None:
    collection = manager.EnumEveryConnection
    connection = _first(manager)
    shown = {name for name in dir(connection) if not name.startswith("_")}
    assert shown == ({"QueryInterface", "AddRef", "Release"} if binding.style == COMTYPES else {"QueryInterface"})
    with pytest.raises(AttributeError):
        connection.Name  # noqa: B018
    assert list(collection)[0] == list(collection)[0]  # noqa: RUF015
    assert len(set(collection)) == 9
    assert connection != _first(manager)  # of another enumeration: another object for the same connection
    assert manager.NetConnectionProps(connection).Guid.startswith("{AB")


def test_an_opaque_object_becomes_no_other(binding: Binding, manager: Any) -> None:
    connection = _first(manager)
    content: Any = binding.windows.modules
    if binding.style == COMTYPES:
        netcon = content["comtypes.gen.NETCONLib"]
        assert connection.QueryInterface(netcon["INetConnection"]).GetProperties().contents.pszwName == "Ethernet"
        assert binding.code(lambda: connection.QueryInterface(netcon["INetSharingManager"])) == E_NOINTERFACE
        assert (
            binding.code(lambda: connection.QueryInterface(content["comtypes.automation"]["IDispatch"]))
            == E_NOINTERFACE
        )
        return
    pythoncom = content["pythoncom"]
    assert connection.QueryInterface(pythoncom["IID_IUnknown"]) == connection
    with pytest.raises(binding.failure) as caught:
        connection.QueryInterface(pythoncom["IID_IDispatch"])
    assert caught.value.args[0] == E_NOINTERFACE
    with pytest.raises(TypeError):
        connection.QueryInterface("{C08956A1-1CD3-11D1-B1C5-00805FC1270E}")


def test_a_collection_has_a_length(manager: Any) -> None:
    assert len(manager.EnumPublicConnections(0)) == manager.EnumPublicConnections(0).Count == 0
    assert manager.EnumPublicConnections(0), "an empty collection is an object too"


def test_only_the_late_bound_style_indexes_a_collection(binding: Binding, manager: Any) -> None:
    collection = manager.EnumEveryConnection
    if binding.style != LATE:
        with pytest.raises(TypeError):
            collection[0]
        return
    assert collection[0] == next(iter(collection))
    assert collection[8] != collection[0]
    for outside in (9, -1):
        with pytest.raises(IndexError):
            collection[outside]
    with pytest.raises(TypeError):
        collection["Ethernet"]


def test_an_unknown_member_is_none(manager: Any) -> None:
    configuration = manager.INetSharingConfigurationForINetConnection(_first(manager))
    with pytest.raises(AttributeError):
        configuration.SharingType  # noqa: B018
    assert not hasattr(manager, "NoSuchThing")
    assert hasattr(manager, "SharingInstalled")


def test_a_property_cannot_be_set(manager: Any) -> None:
    with pytest.raises(AttributeError):
        manager.SharingInstalled = False


def test_names_are_found_in_any_case_but_by_makepy(binding: Binding, manager: Any) -> None:
    if binding.style == MAKEPY:
        with pytest.raises(AttributeError):
            manager.sharinginstalled  # noqa: B018
        return
    assert manager.sharinginstalled is True
    assert manager.ENUMPUBLICCONNECTIONS(0).count == 0


def test_a_failing_call_carries_the_code_of_the_object(binding: Binding, manager: Any) -> None:
    configuration = manager.INetSharingConfigurationForINetConnection(_first(manager))
    assert binding.code(lambda: configuration.SharingConnectionType) == E_UNEXPECTED
    assert binding.code(lambda: manager.EnumPublicConnections(1)) == E_INVALIDARG
    assert binding.code(lambda: manager.NetConnectionProps(None)) == E_POINTER
    assert binding.code(lambda: manager.NetConnectionProps(manager)) == E_NOINTERFACE
    assert binding.code(lambda: configuration.EnableSharing(7)) == E_INVALIDARG
    add = configuration.AddPortMapping
    assert binding.code(lambda: add("x", 47, 80, 80, 0, "192.168.137.2", 1)) == E_INVALIDARG
    assert binding.code(lambda: add("x", 6, 70_000, 80, 0, "192.168.137.2", 1)) == E_INVALIDARG
    add("x", 6, 80, 80, 0, "192.168.137.2", 1)
    assert binding.code(lambda: add("y", 6, 80, 81, 0, "192.168.137.3", 1)) == ALREADY_EXISTS
    binding.windows.machine.forbid()
    assert binding.code(configuration.DisableSharing) == E_ACCESSDENIED


def test_arguments_of_the_wrong_number_or_type(binding: Binding, manager: Any) -> None:
    with pytest.raises(TypeError):
        manager.EnumPublicConnections(0, 0)
    with pytest.raises(TypeError if binding.style == COMTYPES else binding.failure) as caught:
        manager.EnumPublicConnections()
    assert binding.style == COMTYPES or caught.value.args[0] == -2147352561
    with pytest.raises(Exception) as caught:  # noqa: PT011 (ctypes.ArgumentError or TypeError)
        manager.NetConnectionProps(object())
    assert type(caught.value).__name__ == ("ArgumentError" if binding.style == COMTYPES else "TypeError")
    with pytest.raises(Exception) as caught:  # noqa: PT011 (likewise)
        manager.EnumPublicConnections("many")
    assert type(caught.value).__name__ == ("ArgumentError" if binding.style == COMTYPES else "com_error")


@pytest.mark.parametrize("style", [LATE, MAKEPY])
def test_pywin32_takes_arguments_by_name(style: str) -> None:
    manager = _binding(style).create("HNetCfg.HNetShare")
    assert manager.EnumPublicConnections(Flags=0).Count == 0
    with pytest.raises(TypeError):
        manager.EnumPublicConnections(flags=0, Flags=0)
    with pytest.raises(TypeError):
        manager.EnumPublicConnections(0, Flags=0)


def test_methods_and_results_are_plain(binding: Binding, manager: Any) -> None:
    connection = _first(manager)
    configuration = manager.INetSharingConfigurationForINetConnection(connection)
    assert configuration.EnableSharing(0) == (0 if binding.style == COMTYPES else None)
    assert configuration.SharingConnectionType == 0
    assert type(configuration.SharingConnectionType) is int
    assert type(manager.NetConnectionProps(connection).Characteristics) is int
    assert configuration.SharingEnabled is True
    mapping = configuration.AddPortMapping("web", 6, 40_000, 0, 0, "192.168.137.2", 1)
    assert [one.Properties.ExternalPort for one in configuration.EnumPortMappings(0)] == [40_000]
    configuration.RemovePortMapping(mapping)
    assert binding.code(lambda: mapping.Properties) == E_UNEXPECTED


def test_classes_are_found_by_progid_in_any_case_and_by_clsid(binding: Binding) -> None:
    for name in ("HNetCfg.HNetShare", "hnetcfg.hnetshare.1", "{5C63C1AD-3956-4FF8-8486-40034758315B}"):
        assert binding.create(name).SharingInstalled


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("HNetCfg.FwPolicy2", -2147221005),
        ("{not-a-guid}", -2147221005),
        ("{304CE942-6E39-40D8-943A-B913C40C9CD4}", -2147221164),
    ],
)
def test_another_class_does_not_exist(binding: Binding, name: str, code: int) -> None:
    with pytest.raises(binding.failure) as caught:
        binding.create(name)
    assert caught.value.args[0] == code


def test_objects_are_created_only_on_threads_that_use_com_and_work_on_all_of_them(
    binding: Binding, manager: Any
) -> None:
    pythoncom: Any = binding.windows.modules["pythoncom"]
    seen: list[object] = []

    def work() -> None:
        with pytest.raises(binding.failure) as caught:
            binding.create("HNetCfg.HNetShare")
        seen.append(caught.value.args[0])
        pythoncom["CoInitialize"]()
        seen.append(len(binding.create("HNetCfg.HNetShare").EnumEveryConnection))
        mine = manager.EnumEveryConnection
        seen.append(mine.Count)
        del mine
        pythoncom["CoUninitialize"]()
        pythoncom["CoUninitialize"]()
        seen.append(manager.SharingInstalled)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [-2147221008, 9, 9, True]


def test_both_styles_of_pywin32_take_the_objects_of_the_other() -> None:
    late = _binding(LATE)
    content: Any = late.windows.modules
    client, gencache = content["win32com.client"], content["win32com.client.gencache"]
    manager = late.create("HNetCfg.HNetShare")
    made = gencache["EnsureDispatch"](manager)
    assert made == manager
    assert made.NetConnectionProps(manager.EnumEveryConnection[0]).Name == "Ethernet"
    assert client["Dispatch"](made) == made
    assert client["CastTo"](manager, "INetSharingManager").SharingInstalled
    with pytest.raises(ValueError, match="INetFoo"):
        client["CastTo"](manager, "INetFoo")
    assert client["DispatchEx"]("HNetCfg.HNetShare").SharingInstalled
    assert client["constants"].NCM_LAN == 3
    assert client["constants"].ICSSHARINGTYPE_PRIVATE == 1
    with pytest.raises(AttributeError):
        client["constants"].NCM_NOTHING  # noqa: B018


_LOADS: dict[str, Callable[[Any, Any], object]] = {
    "EnsureDispatch": lambda content, _: content["win32com.client.gencache"]["EnsureDispatch"]("HNetCfg.HNetShare"),
    "EnsureModule": lambda content, _: content["win32com.client.gencache"]["EnsureModule"](
        "{43E734CA-043D-4A70-9A2C-A8F254063D91}", 0, 1, 0
    ),
    "CastTo": lambda content, manager: content["win32com.client"]["CastTo"](manager, "INetSharingManager"),
}


@pytest.mark.parametrize("load", _LOADS)
def test_constants_are_there_when_the_library_has_been_loaded(load: str) -> None:
    content: Any = windows().modules
    client = content["win32com.client"]
    manager = client["Dispatch"]("HNetCfg.HNetShare")
    with pytest.raises(AttributeError, match="ICSSHARINGTYPE_PUBLIC"):
        client["constants"].ICSSHARINGTYPE_PUBLIC  # noqa: B018
    _LOADS[load](content, manager)
    assert client["constants"].ICSSHARINGTYPE_PUBLIC == 0
    assert content["comtypes.client"]["Constants"](manager).ICSSHARINGTYPE_PRIVATE == 1


def test_pywin32_calls_members_by_their_dispatch_ids() -> None:
    content: Any = windows().modules
    pythoncom, client = content["pythoncom"], content["win32com.client"]
    call, read, put = (pythoncom[f"DISPATCH_{name}"] for name in ("METHOD", "PROPERTYGET", "PROPERTYPUT"))
    manager = client["Dispatch"]("HNetCfg.HNetShare")
    ole = manager._oleobj_
    assert ole.GetIDsOfNames("EnumEveryConnection") == ole.GetIDsOfNames(0, "enumeveryconnection") == 7
    assert ole.GetIDsOfNames("SharingInstalled", "NetConnectionProps") == (1, 8)
    assert ole.GetIDsOfNames() == ()
    connection = next(iter(client["Dispatch"](ole.Invoke(7, 0, read, True))))
    properties = ole.Invoke(8, 0, call | read, True, connection)
    assert properties.Invoke(properties.GetIDsOfNames("Name"), 0, read, True) == "Ethernet"
    configuration = manager.INetSharingConfigurationForINetConnection(connection)._oleobj_
    assert configuration.Invoke(4, 0, call, False, 1) is None
    assert configuration.Invoke(2, 0, read, True) == 1
    events = client["Dispatch"]("HNetCfg.NATUPnP").NATEventManager._oleobj_
    assert events.Invoke(1, 0, put, False, None) is None
    refused: list[tuple[Callable[[], object], int]] = [
        (lambda: ole.GetIDsOfNames("Nothing"), -2147352570),
        (lambda: ole.Invoke(99, 0, read, True), -2147352573),
        (lambda: ole.Invoke(7, 0, call, True), -2147352573),
        (lambda: ole.Invoke(8, 0, read, True), -2147352562),
        (lambda: configuration.Invoke(4, 0, call, False, 9), -2147352567),
    ]
    for wrong, code in refused:
        with pytest.raises(pythoncom["com_error"]) as caught:
            wrong()
        assert caught.value.args[0] == code


def test_an_object_goes_to_another_thread_in_a_stream() -> None:
    content: Any = windows().modules
    pythoncom, client = content["pythoncom"], content["win32com.client"]
    dispatch = pythoncom["IID_IDispatch"]
    manager = client["Dispatch"]("HNetCfg.HNetShare")
    stream = pythoncom["CoMarshalInterThreadInterfaceInStream"](dispatch, manager._oleobj_)
    with pytest.raises(TypeError):
        pythoncom["CoMarshalInterThreadInterfaceInStream"](dispatch, manager)
    seen: list[object] = []

    def work() -> None:
        with pytest.raises(pythoncom["com_error"], match="CoInitialize"):
            pythoncom["CoGetInterfaceAndReleaseStream"](stream, dispatch)
        pythoncom["CoInitialize"]()
        mine = client["Dispatch"](pythoncom["CoGetInterfaceAndReleaseStream"](stream, dispatch))
        seen.append(len(mine.EnumEveryConnection))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [9]


def test_comtypes_enumerates_connections_by_their_own_manager() -> None:
    content: Any = windows().modules
    comtypes, netcon = content["comtypes"], content["comtypes.gen.NETCONLib"]
    clsid = comtypes["GUID"]("{BA126AD1-2166-11D1-B1D0-00805FC1270E}")
    manager = comtypes["CoCreateInstance"](clsid, interface=netcon["INetConnectionManager"])
    connections = manager.EnumConnections(0)
    first, fetched = connections.Next(1)
    assert fetched == 1
    properties = first.GetProperties()[0]
    assert (properties.pszwName, properties.MediaType) == ("Ethernet", netcon["NCM_LAN"])
    assert properties.guidId == "{AB000000-0000-0000-0000-000000000001}"
    assert connections.Skip(7) == 0
    copy = connections.Clone()
    assert connections.Next(5)[1] == copy.Next(5)[1] == 1  # of nine
    assert connections.Next(1) == (None, 0)
    assert connections.Skip(1) == 1
    connections.Reset()
    assert len(list(connections)) == 9


def test_comtypes_names_classes_and_libraries() -> None:
    content: Any = windows().modules
    guid = content["comtypes"]["GUID"]
    share = "{5C63C1AD-3956-4FF8-8486-40034758315B}"
    assert str(guid.from_progid("HNetCfg.HNetShare.1")) == share
    assert guid(share) == guid.from_progid(share)
    create = content["comtypes.client"]["CreateObject"]
    netcon = content["comtypes.gen.NETCONLib"]
    assert create(netcon["NetSharingManager"], interface=netcon["INetSharingManager"]).SharingInstalled
    with pytest.raises(OSError, match="Invalid class string") as caught:
        create("HNetCfg.FwMgr")
    assert caught.value.winerror == caught.value.hresult == -2147221005  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="Invalid class string"):
        guid.from_progid("No.Such")
    with pytest.raises(OSError, match="type library"):
        content["comtypes.client"]["GetModule"]("netfw.dll")


def test_pywin32_has_what_surrounds_an_object() -> None:
    content: Any = windows().modules
    pythoncom, client, gencache = content["pythoncom"], content["win32com.client"], content["win32com.client.gencache"]
    library = gencache["EnsureModule"]("{43E734CA-043D-4A70-9A2C-A8F254063D91}", 0, 1, 0)
    created = client["Dispatch"]("HNetCfg.HNetShare")
    assert library.INetSharingManager(created._oleobj_).SharingInstalled
    assert library.constants.ICSTT_IPADDRESS == 1
    with pytest.raises(pythoncom["com_error"], match="Library not registered"):
        gencache["EnsureModule"]("{00000000-0000-0000-0000-000000000000}", 0, 1, 0)
    clsid = pythoncom["MakeIID"]("{5C63C1AD-3956-4FF8-8486-40034758315B}")
    assert clsid == "{5c63c1ad-3956-4ff8-8486-40034758315b}"
    made = pythoncom["CoCreateInstance"](clsid, None, pythoncom["CLSCTX_ALL"], pythoncom["IID_IDispatch"])
    assert client["Dispatch"](made).SharingInstalled
    assert pythoncom["CreateGuid"]() != pythoncom["CreateGuid"]()
    assert client["GetObject"]("new:{5C63C1AD-3956-4FF8-8486-40034758315B}").SharingInstalled
    with pytest.raises(pythoncom["com_error"]):
        client["GetObject"](Class="HNetCfg.HNetShare")
    with pytest.raises(ValueError, match="not both"):
        client["GetObject"]()
    with pytest.raises(pythoncom["com_error"], match="RPC"):
        client["DispatchEx"]("HNetCfg.HNetShare", "other")
    with pytest.raises(TypeError):
        client["Dispatch"](object())
