"""The changes icshare can make to a host, as values.

A step is one atomic change: one netlink message, one nft transaction, one rename, one process. It says what it does
(`describe`), what it changes (`key`: two steps with one key are two values of the same thing, and the later replaces
the earlier), and how to take it back (`inverse`, again a step). Steps are what the journal stores, so their fields are
plain data and their tags never change meaning.
"""

from icshare.plan.steps.addresses import (
    AddAddress,
    AddNeighbour,
    AddRoute,
    AddRule,
    RemoveAddress,
    RemoveNeighbour,
    RemoveRoute,
    RemoveRule,
)
from icshare.plan.steps.fastpath import SetConntrack, StartFastPath, StopFastPath
from icshare.plan.steps.links import CreateBridge, DeleteBridge, SetMaster, SetSysctl, SetUp
from icshare.plan.steps.services import ForgetProbe, ProbeDhcp, StartLog, StartService, StopLog, StopService
from icshare.plan.steps.step import LinkRef, Step, digest
from icshare.plan.steps.tables import DropFirewall, DropRuleset, LoadFirewall, LoadRuleset
from icshare.plan.steps.wireless import (
    CreateAccessPointLink,
    DeleteAccessPointLink,
    SetCountry,
    SetInterfaceType,
    StartAccessPoint,
    StopAccessPoint,
)

AnyStep = (
    LoadRuleset
    | DropRuleset
    | LoadFirewall
    | DropFirewall
    | StartLog
    | StopLog
    | CreateBridge
    | DeleteBridge
    | SetMaster
    | SetUp
    | SetSysctl
    | AddAddress
    | RemoveAddress
    | AddRoute
    | RemoveRoute
    | AddNeighbour
    | RemoveNeighbour
    | AddRule
    | RemoveRule
    | ProbeDhcp
    | ForgetProbe
    | StartService
    | StopService
    | SetCountry
    | CreateAccessPointLink
    | DeleteAccessPointLink
    | SetInterfaceType
    | StartAccessPoint
    | StopAccessPoint
    | SetConntrack
    | StartFastPath
    | StopFastPath
)

__all__ = [
    "AddAddress",
    "AddNeighbour",
    "AddRoute",
    "AddRule",
    "AnyStep",
    "CreateAccessPointLink",
    "CreateBridge",
    "DeleteAccessPointLink",
    "DeleteBridge",
    "DropFirewall",
    "DropRuleset",
    "ForgetProbe",
    "LinkRef",
    "LoadFirewall",
    "LoadRuleset",
    "ProbeDhcp",
    "RemoveAddress",
    "RemoveNeighbour",
    "RemoveRoute",
    "RemoveRule",
    "SetConntrack",
    "SetCountry",
    "SetInterfaceType",
    "SetMaster",
    "SetSysctl",
    "SetUp",
    "StartAccessPoint",
    "StartFastPath",
    "StartLog",
    "StartService",
    "Step",
    "StopAccessPoint",
    "StopFastPath",
    "StopLog",
    "StopService",
    "digest",
]
