"""The steps that an access point takes: its country, its link, and who serves.

hostapd serves last: who can join finds everything there. NetworkManager serves first, as it takes away what is on a
link that it activates.
"""

from collections.abc import Iterator
from uuid import UUID

from icshare.model.sharing import Segment
from icshare.model.snapshot import Snapshot
from icshare.model.wifi import WORLD, AccessPoint, Country, InterfaceType, Placement
from icshare.plan import steps as s
from icshare.plan.steps import AnyStep, LinkRef
from icshare.render.hostapd import access_point_configuration
from icshare.render.nmprofile import Profile, profile_text


def set_country(wanted: AccessPoint | None, baseline: Snapshot) -> Iterator[AnyStep]:
    """Set the country that is asked for, if it is not set."""
    if wanted is not None and wanted.country is not None and wanted.country != baseline.country:
        previous = baseline.country if baseline.country.isalpha() else WORLD  # a mixture cannot be asked for
        yield s.SetCountry(country=wanted.country, previous=previous)


def make_access_point_link(
    wanted: AccessPoint | None, segment: Segment, baseline: Snapshot, profile: UUID
) -> Iterator[AnyStep]:
    """Make the link of a segment's access point, if it has one, and have NetworkManager serve there, if it is to.

    Args:
        wanted: What is asked for.
        segment: The segment.
        baseline: The host as it would be without us.
        profile: Identity of NetworkManager's profile.
    """
    placement = segment.access_point
    if wanted is None or placement is None:
        return
    yield from _link_of_the_type(placement, baseline)
    if placement.networkmanager:
        text = profile_text(
            Profile(
                uuid=profile,
                interface=placement.interface,
                ssid=wanted.ssid,
                band=placement.channel.band,
                channel=placement.channel.number,
                hidden=wanted.hidden,
                isolated=wanted.isolated,
            )
        )
        yield s.StartAccessPoint(link=placement.interface, text=text, secret=wanted.secret, networkmanager=True)


def _link_of_the_type(placement: Placement, baseline: Snapshot) -> Iterator[AnyStep]:
    """Make the link, or make the one that was named of the type for access points."""
    if placement.made:
        yield s.CreateAccessPointLink(
            name=placement.interface, radio=placement.radio, networkmanager=placement.networkmanager
        )
        return
    link = baseline.standing_link(placement.interface)
    kind = link.facts.wireless_type or InterfaceType.STATION
    if kind != InterfaceType.AP and not placement.networkmanager:  # which does that as well
        yield s.SetInterfaceType(link=LinkRef.to(link), type=InterfaceType.AP, previous=kind, up=link.up)


def serve_by_hostapd(wanted: AccessPoint | None, segment: Segment, baseline: Snapshot) -> Iterator[AnyStep]:
    """Have our hostapd serve, if it is to."""
    placement = segment.access_point
    if wanted is None or placement is None or placement.networkmanager:
        return
    radio = baseline.radio(placement.radio)
    assert radio is not None, "the access point was placed on it"
    country = wanted.country or (Country(baseline.country) if baseline.country.isalpha() else None)
    text = access_point_configuration(wanted, segment, radio, country)
    yield s.StartAccessPoint(link=placement.interface, text=text, secret=wanted.secret)
