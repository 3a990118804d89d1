"""From the values of the core to the documents of `icshare.cli.schema`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from icshare.cli import errors, schema
from icshare.cli.summary import placement_in
from icshare.errors import RefusedError
from icshare.model.connection import Characteristics

if TYPE_CHECKING:
    from icshare.api import SharingStatus
    from icshare.engine import Outcome, Proposal
    from icshare.model.client import Client
    from icshare.model.connection import Connection, Verdict
    from icshare.model.fastpath import FastPackets, PairPath
    from icshare.model.firewall import FirewallOptions
    from icshare.model.mapping import MappingStatus, PortMapping
    from icshare.model.sharing import Segment, Sharing
    from icshare.model.status import Health
    from icshare.model.wifi import AccessPoint, Passphrase, Placement, Station


def list_document(connections: "Iterable[Connection]", windows_names: Mapping[UUID, str]) -> schema.ListDocument:
    """Return what ``icshare list`` prints."""
    return schema.ListDocument(
        connections=tuple(_connection(one, windows_names.get(one.guid, "")) for one in connections)
    )


def dial_document(connection: "Connection") -> schema.DialDocument:
    """Return what ``icshare connect`` and ``icshare disconnect`` print."""
    return schema.DialDocument(
        guid=connection.guid,
        interface=_text(connection.interface),
        name=_text(connection.name),
        status=connection.status.name.lower(),
    )


def share_document(outcome: "Outcome") -> schema.ShareDocument:
    """Return what ``icshare share`` prints."""
    return _share(outcome, dry_run=False, checks=_checks(outcome.health), ruleset=None)


def proposal_document(proposal: "Proposal") -> schema.ShareDocument:
    """Return what ``icshare share --dry-run`` prints."""
    return _share(proposal, dry_run=True, checks=(), ruleset=proposal.plan.ruleset)


def status_document(status: "SharingStatus", mappings: "Sequence[MappingStatus]") -> schema.StatusDocument:
    """Return what ``icshare status`` prints."""
    record = status.record
    sharing = record.sharing if record else None
    firewalls = tuple(one.interface for one in record.firewalls) if record else ()
    complete = record is None or record.complete
    return schema.StatusDocument(
        shared=sharing is not None,
        healthy=status.health.ok and complete,
        complete=complete,
        changing=status.changing,
        public=sharing.public if sharing else None,
        privates=sharing.privates if sharing else (),
        firewall=sharing is not None and sharing.public in firewalls,
        since=_moment(record.since) if record else None,
        segments=_segments(sharing, record.segments) if record and sharing else (),
        firewalls=firewalls,
        active_mappings=sum(one.state == "active" for one in mappings),
        inactive_mappings=tuple(mapping_document(one) for one in mappings if one.state == "inactive"),
        access_point=_access_point(sharing, record.segments if record else ()),
        fast_path=_paths(record.paths) if record else (),
        fast_packets=status.packets.fast if status.packets else None,
        kernel_packets=_reasons(status.packets) if status.packets else (),
        notes=record.notes if record else (),
        checks=_checks(status.health),
    )


def stop_document(taken_back: Sequence[str]) -> schema.StopDocument:
    """Return what ``icshare stop`` prints."""
    return schema.StopDocument(stopped=bool(taken_back), taken_back=tuple(taken_back))


def clients_document(clients: "Iterable[Client]") -> schema.ClientsDocument:
    """Return what ``icshare clients`` prints."""
    return schema.ClientsDocument(clients=tuple(_client(one) for one in clients))


def mapping_document(status: "MappingStatus") -> schema.MappingDocument:
    """Return what the commands of ``icshare map`` print of one mapping."""
    mapping = status.mapping
    return schema.MappingDocument(
        number=mapping.number,
        name=_text(mapping.name),
        connection=mapping.connection,
        interface=_text(status.interface),
        protocol=mapping.protocol.name.lower(),
        external=mapping.external,
        internal=mapping.internal,
        count=mapping.count,
        target=_text(mapping.target.value),
        target_kind=mapping.target.kind,
        enabled=mapping.enabled,
        state=status.state,
        text=_text(status.text),
        address=str(status.address) if status.address is not None else None,
        own=status.own,
        hits=status.hits,
        received_bytes=status.received,
        sent_bytes=status.sent,
    )


def map_list_document(mappings: "Iterable[MappingStatus]") -> schema.MapListDocument:
    """Return what ``icshare map list`` prints."""
    return schema.MapListDocument(mappings=tuple(mapping_document(one) for one in mappings))


def map_remove_document(mapping: "PortMapping") -> schema.MapRemoveDocument:
    """Return what ``icshare map remove`` prints."""
    return schema.MapRemoveDocument(number=mapping.number, name=_text(mapping.name))


def firewall_document(connection: "Connection", options: "FirewallOptions | None") -> schema.FirewallDocument:
    """Return what ``icshare firewall on``, ``off`` and ``set`` print; *options* is None when it is off."""
    return schema.FirewallDocument(
        guid=connection.guid,
        interface=_text(connection.interface),
        on=options is not None,
        in_force=Characteristics.FIREWALLED in connection.characteristics,
        icmp=options.icmp if options else (),
        log_dropped=options is not None and options.log_dropped,
        log_opened=options is not None and options.log_opened,
    )


def firewall_status_document(
    firewalls: "Iterable[tuple[Connection, FirewallOptions | None]]",
) -> schema.FirewallStatusDocument:
    """Return what ``icshare firewall status`` prints."""
    return schema.FirewallStatusDocument(firewalls=tuple(firewall_document(*one) for one in firewalls))


def access_point_document(
    access_point: "AccessPoint", placement: "Placement | None" = None
) -> schema.AccessPointDocument:
    """Return what is told of an access point; *placement* is None where it is not known."""
    channel = placement.channel if placement else None
    return schema.AccessPointDocument(
        ssid=_text(access_point.ssid),
        interface=placement.interface if placement else access_point.interface,
        band=channel.band if channel else access_point.band,
        channel=channel.number if channel else access_point.channel,
        hidden=access_point.hidden,
        isolated=access_point.isolated,
        country=access_point.country,
        note=placement.note if placement else "",
    )


def wifi_document(
    access_point: "AccessPoint", placement: "Placement | None", security: str, passphrase: "Passphrase", code: str
) -> schema.WifiDocument:
    """Return what ``icshare wifi show`` prints; *code* is the text of the QR code, *security* how clients join."""
    return schema.WifiDocument(
        access_point=access_point_document(access_point, placement),
        security=security,
        passphrase=passphrase.reveal(),
        code=_text(code),
    )


def doctor_document(health: "Health") -> schema.DoctorDocument:
    """Return what ``icshare doctor`` prints."""
    return schema.DoctorDocument(healthy=health.ok, checks=_checks(health))


def error_document(error: Exception, exit_status: int) -> schema.ErrorDocument:
    """Return what any command prints with ``--json`` when it fails."""
    return schema.ErrorDocument(error=_fault(error), exit_status=exit_status)


def _fault(error: Exception) -> schema.FaultDocument:
    hint = errors.hint_of(error)
    return schema.FaultDocument(
        kind=errors.kind(error),
        message=_text("; ".join(errors.messages(error))),
        hint=_text(hint) if hint else None,
        problems=tuple(schema.ProblemDocument(reason=reason, text=_text(text)) for reason, text in error.problems)
        if isinstance(error, RefusedError)
        else (),
        notes=tuple(_text(note) for note in errors.notes_of(error)),
        errors=tuple(_fault(one) for one in error.exceptions) if isinstance(error, ExceptionGroup) else (),
    )


def _share(
    result: "Outcome | Proposal", *, dry_run: bool, checks: tuple[schema.CheckDocument, ...], ruleset: str | None
) -> schema.ShareDocument:
    sharing = result.plan.sharing
    assert sharing is not None, "share was asked for"
    return schema.ShareDocument(
        dry_run=dry_run,
        public=sharing.public,
        privates=sharing.privates,
        firewall=sharing.public in {one.interface for one in result.plan.firewalls},
        segments=_segments(sharing, result.plan.segments),
        access_point=_access_point(sharing, result.plan.segments),
        fast_path=_paths(result.plan.paths),
        notes=tuple(_text(note) for note in result.plan.notes),
        changes=tuple(change.describe() for change in result.changes),
        checks=checks,
        ruleset=ruleset,
    )


def _connection(connection: "Connection", windows_name: str) -> schema.ConnectionDocument:
    return schema.ConnectionDocument(
        guid=connection.guid,
        interface=_text(connection.interface),
        name=_text(connection.name),
        windows_name=_text(windows_name),
        device=_text(connection.device),
        kind=connection.kind,
        media=connection.media.name.lower(),
        status=connection.status.name.lower(),
        characteristics=tuple(flag.name.lower() for flag in connection.characteristics if flag.name),
        role=connection.role,
        sharable=_verdict(connection.sharable),
        as_public=_verdict(connection.as_public),
        as_private=_verdict(connection.as_private),
        bridgeable=connection.bridgeable,
        hidden=connection.hidden,
    )


def _verdict(verdict: "Verdict") -> schema.VerdictDocument:
    return schema.VerdictDocument(ok=verdict.ok, reason=verdict.reason, text=_text(verdict.text))


def _segments(sharing: "Sharing", segments: "Iterable[Segment]") -> tuple[schema.SegmentDocument, ...]:
    return tuple(
        schema.SegmentDocument(
            interface=segment.interface,
            members=segment.members,
            network=str(segment.network),
            beyond=tuple(map(str, segment.beyond)),
            gateway=str(segment.gateway),
            bridged=segment.bridged,
            dhcp=sharing.dhcp.enabled and segment.ethernet,
        )
        for segment in segments
    )


def _paths(paths: "Iterable[PairPath]") -> tuple[schema.PairPathDocument, ...]:
    return tuple(
        schema.PairPathDocument(
            public=one.public, private=one.private, path=one.path, reason=_text(one.reason), remedy=_text(one.remedy)
        )
        for one in paths
    )


def _reasons(packets: "FastPackets") -> tuple[schema.KernelPacketsDocument, ...]:
    return tuple(schema.KernelPacketsDocument(reason=reason, packets=count) for reason, count in packets.kernel.items())


def _access_point(sharing: "Sharing | None", segments: "Iterable[Segment]") -> schema.AccessPointDocument | None:
    if sharing is None or sharing.access_point is None:
        return None
    return access_point_document(sharing.access_point, placement_in(segments))


def _checks(health: "Health") -> tuple[schema.CheckDocument, ...]:
    return tuple(
        schema.CheckDocument(name=one.name, grade=one.grade, text=_text(one.text), remedy=_text(one.remedy))
        for one in health.checks
    )


def _client(client: "Client") -> schema.ClientDocument:
    counted = client.traffic.seconds is not None
    return schema.ClientDocument(
        name=client.name,
        mac=client.mac,
        address=str(client.address),
        leased=client.leased,
        online=client.online,
        since=_moment(client.since) if client.since is not None else None,
        sent_bytes=client.traffic.sent if counted else None,
        received_bytes=client.traffic.received if counted else None,
        station=_station(client.station) if client.station is not None else None,
    )


def _station(station: "Station") -> schema.StationDocument:
    return schema.StationDocument(
        signal=station.signal,
        sent_rate=station.sent_rate,
        received_rate=station.received_rate,
        connected_seconds=station.connected_seconds,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), tz=UTC)


def _text(text: str) -> str:
    """Return *text* as Unicode: a byte that was no UTF-8 becomes an escape, because JSON cannot hold it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
