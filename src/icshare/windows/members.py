"""Interfaces and their members, as the type libraries of Windows have them.

Source:
    ``netcon.h`` and the type library NETCONLib 1.0; ``natupnp.h`` and the type library NATUPNPLib 1.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

from icshare.netcon.identifiers import DISPIDS, IIDS

NUMBER = "number"
TEXT = "text"
FLAG = "flag"
OBJECT = "object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One argument of a member.

    Attributes:
        name: Its name, by which it may be given.
        kind: `NUMBER`, `TEXT`, `FLAG` or `OBJECT`.
    """

    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of an interface.

    Attributes:
        name: Its name.
        dispid: Its dispatch id.
        get: It is read like a property; with parameters it is a property with arguments.
        put: It is a property that can be set.
        parameters: Its arguments.
        result: Interface of the object it returns; "" for a plain value or nothing.
    """

    name: str
    dispid: int
    get: bool = False
    put: bool = False
    parameters: tuple[Parameter, ...] = ()
    result: str = ""

    @property
    def plain(self) -> bool:
        """It is a property that takes no argument, so naming it is reading it."""
        return self.get and not self.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One interface.

    Attributes:
        name: Its name.
        iid: Its interface id.
        scriptable: It is an IDispatch: late-bound programs can use it.
        members: Its members by name.
        element: Interface of what it enumerates; "" when it is no collection.
    """

    name: str
    iid: UUID
    scriptable: bool
    members: Mapping[str, Member]
    element: str = ""

    def find(self, name: str) -> Member | None:
        """Return the member called *name* in any case, as GetIDsOfNames finds it."""
        found = self.members.get(name)
        return found or next((one for one in self.members.values() if one.name.lower() == name.lower()), None)


_NATUPNP_IIDS = {
    "IUPnPNAT": UUID("b171c812-cc76-485a-94d8-b6b3a2794e99"),
    "IStaticPortMappingCollection": UUID("cd1f3e77-66d6-4664-82c7-36dbb641d0f1"),
    "IStaticPortMapping": UUID("6f10711f-729b-41e5-93b8-f21d0f818df1"),
    "INATEventManager": UUID("624bd588-9060-4109-b0b0-1adbbcac32df"),
}

NATUPNP_LIBID = UUID("1c565858-f302-471e-b409-f180aa4abec6")
"""The type library NATUPNPLib, version 1.0."""

_KINDS = {"n": NUMBER, "t": TEXT, "f": FLAG, "o": OBJECT}


def _parameters(text: str) -> tuple[Parameter, ...]:
    """Return the parameters that ``n:Type t:bstrName`` describes."""
    pairs = [one.split(":") for one in text.split()]
    return tuple(Parameter(name=name, kind=_KINDS[kind]) for kind, name in pairs)


def _get(arguments: str = "", result: str = "", *, dispid: int = 0) -> Member:
    return Member(name="", dispid=dispid, get=True, parameters=_parameters(arguments), result=result)


def _put(*, dispid: int) -> Member:
    return Member(name="", dispid=dispid, put=True)


def _do(arguments: str = "", result: str = "", *, dispid: int = 0) -> Member:
    return Member(name="", dispid=dispid, parameters=_parameters(arguments), result=result)


def _interface(
    name: str, members: Mapping[str, Member], *, iid: UUID | None = None, scriptable: bool = True, element: str = ""
) -> Interface:
    dispids = DISPIDS.get(name, {})
    named = {
        key: Member(
            name=key,
            dispid=dispids.get(key, one.dispid),
            get=one.get,
            put=one.put,
            parameters=one.parameters,
            result=one.result,
        )
        for key, one in members.items()
    }
    return Interface(
        name=name,
        iid=iid or IIDS[name],
        scriptable=scriptable,
        members=MappingProxyType(named),
        element=element,
    )


def _properties(*names: str) -> dict[str, Member]:
    return {name: _get(dispid=number) for number, name in enumerate(names, 1)}


def _collection(name: str, element: str) -> Interface:
    return _interface(name, {"Count": _get()}, element=element)


NETCON: Mapping[str, Interface] = MappingProxyType(
    {
        one.name: one
        for one in (
            _interface(
                "INetSharingManager",
                {
                    "SharingInstalled": _get(),
                    "EnumPublicConnections": _get("n:Flags", "INetSharingPublicConnectionCollection"),
                    "EnumPrivateConnections": _get("n:Flags", "INetSharingPrivateConnectionCollection"),
                    "INetSharingConfigurationForINetConnection": _get("o:pNetConnection", "INetSharingConfiguration"),
                    "EnumEveryConnection": _get("", "INetSharingEveryConnectionCollection"),
                    "NetConnectionProps": _get("o:pNetConnection", "INetConnectionProps"),
                },
            ),
            _collection("INetSharingEveryConnectionCollection", "INetConnection"),
            _collection("INetSharingPublicConnectionCollection", "INetConnection"),
            _collection("INetSharingPrivateConnectionCollection", "INetConnection"),
            _collection("INetSharingPortMappingCollection", "INetSharingPortMapping"),
            _interface(
                "INetConnectionProps",
                _properties("Guid", "Name", "DeviceName", "Status", "MediaType", "Characteristics"),
            ),
            _interface(
                "INetSharingConfiguration",
                {
                    "SharingEnabled": _get(),
                    "SharingConnectionType": _get(),
                    "DisableSharing": _do(),
                    "EnableSharing": _do("n:Type"),
                    "InternetFirewallEnabled": _get(),
                    "DisableInternetFirewall": _do(),
                    "EnableInternetFirewall": _do(),
                    "EnumPortMappings": _get("n:Flags", "INetSharingPortMappingCollection"),
                    "AddPortMapping": _do(
                        "t:bstrName n:ucIPProtocol n:usExternalPort n:usInternalPort n:dwOptions"
                        " t:bstrTargetNameOrIPAddress n:eTargetType",
                        "INetSharingPortMapping",
                    ),
                    "RemovePortMapping": _do("o:pMapping"),
                },
            ),
            _interface(
                "INetSharingPortMapping",
                {
                    "Disable": _do(),
                    "Enable": _do(),
                    "Properties": _get("", "INetSharingPortMappingProps"),
                    "Delete": _do(),
                },
            ),
            _interface(
                "INetSharingPortMappingProps",
                _properties(
                    "Name",
                    "IPProtocol",
                    "ExternalPort",
                    "InternalPort",
                    "Options",
                    "TargetName",
                    "TargetIPAddress",
                    "Enabled",
                ),
            ),
            _interface(
                "INetConnection",
                {
                    "Connect": _do(),
                    "Disconnect": _do(),
                    "Delete": _do(),
                    "Duplicate": _do("t:pszwDuplicateName", "INetConnection"),
                    "GetProperties": _do(),
                    "GetUiObjectClassId": _do(),
                    "Rename": _do("t:pszwNewName"),
                },
                scriptable=False,
            ),
            _interface(
                "INetConnectionManager",
                {"EnumConnections": _do("n:Flags", "IEnumNetConnection")},
                scriptable=False,
            ),
            _interface("IEnumNetConnection", {}, scriptable=False, element="INetConnection"),
        )
    }
)
"""The interfaces of NETCONLib."""

NATUPNP: Mapping[str, Interface] = MappingProxyType(
    {
        one.name: one
        for one in (
            _interface(
                "IUPnPNAT",
                {
                    "StaticPortMappingCollection": _get("", "IStaticPortMappingCollection", dispid=1),
                    "DynamicPortMappingCollection": _get(dispid=2),
                    "NATEventManager": _get("", "INATEventManager", dispid=3),
                },
                iid=_NATUPNP_IIDS["IUPnPNAT"],
            ),
            _interface(
                "IStaticPortMappingCollection",
                {
                    "Item": _get("n:lExternalPort t:bstrProtocol", "IStaticPortMapping"),
                    "Count": _get(dispid=1),
                    "Remove": _do("n:lExternalPort t:bstrProtocol", dispid=2),
                    "Add": _do(
                        "n:lExternalPort t:bstrProtocol n:lInternalPort t:bstrInternalClient f:bEnabled"
                        " t:bstrDescription",
                        "IStaticPortMapping",
                        dispid=3,
                    ),
                },
                iid=_NATUPNP_IIDS["IStaticPortMappingCollection"],
                element="IStaticPortMapping",
            ),
            _interface(
                "IStaticPortMapping",
                {
                    **_properties(
                        "ExternalIPAddress",
                        "ExternalPort",
                        "InternalPort",
                        "Protocol",
                        "InternalClient",
                        "Enabled",
                        "Description",
                    ),
                    "EditInternalClient": _do("t:bstrInternalClient", dispid=8),
                    "Enable": _do("f:vb", dispid=9),
                    "EditDescription": _do("t:bstrDescription", dispid=10),
                    "EditInternalPort": _do("n:lInternalPort", dispid=11),
                },
                iid=_NATUPNP_IIDS["IStaticPortMapping"],
            ),
            _interface(
                "INATEventManager",
                {"ExternalIPAddressCallback": _put(dispid=1), "NumberOfEntriesCallback": _put(dispid=2)},
                iid=_NATUPNP_IIDS["INATEventManager"],
            ),
        )
    }
)
"""The interfaces of NATUPNPLib; the dynamic mappings, which no Windows ever had, are left out."""

INTERFACES: Mapping[str, Interface] = MappingProxyType({**NETCON, **NATUPNP})
"""All interfaces by name."""
