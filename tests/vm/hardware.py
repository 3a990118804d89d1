"""Hardware that the kernel plays itself: radios, USB devices, Bluetooth controllers, radios of IEEE 802.15.4.

Sources:
    ``drivers/net/wireless/mac80211_hwsim.h`` (radios by generic netlink); the kernel's
    ``Documentation/usb/gadget_configfs.rst``; ``net/bluetooth/bnep/bnep.h``, ``include/net/bluetooth/l2cap.h``,
    ``hci_sock.h``.
"""

import ctypes
import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.vm.nodes import Node

from icshare.errors import HostError
from icshare.host import command
from icshare.host.netlink import NetlinkSocket
from icshare.wire import genetlink, netlink

SECONDS = 60.0
_LINE = 0.05

_libc = ctypes.CDLL(None, use_errno=True)


def wait_for(what: Callable[[], bool], purpose: str) -> None:
    """Wait until *what* is true.

    Raises:
        AssertionError: It did not become so in `SECONDS`.
    """
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline, f"in {SECONDS} s: {purpose}"
        time.sleep(_LINE)


# ------------------------------------------------------------------------------------------------------- radios

_HWSIM = "MAC80211_HWSIM"
_NEW_RADIO, _DELETE_RADIO = 4, 5
_ATTR_CHANNELS, _ATTR_RADIO_NAME = 9, 17


@contextmanager
def radios(names: Sequence[str]) -> Iterator[None]:
    """Have radios of those names ("phy"), all in the air of this network namespace, for the block."""
    made: list[str] = []
    try:
        for name in names:
            _ask_hwsim(_NEW_RADIO, netlink.u32(_ATTR_CHANNELS, 1) + netlink.text(_ATTR_RADIO_NAME, name))
            made.append(name)
        yield
    finally:
        for name in made:
            # The kernel deletes a radio only where it is, and brings it back from a namespace that ends a little later.
            wait_for(Path(f"/sys/class/ieee80211/{name}").exists, f"radio {name} is back")
            _ask_hwsim(_DELETE_RADIO, netlink.text(_ATTR_RADIO_NAME, name))


def first_link(radio: str) -> str:
    """Return the name of the link that a new radio has, in the network namespace whose ``/sys`` this is."""
    (entry,) = Path(f"/sys/class/ieee80211/{radio}/device/net").iterdir()
    return entry.name


def give_radio(radio: str, node: Node, name: str) -> None:
    """Move a new radio to *node*, where its link is called *name*."""
    link = first_link(radio)
    command.run(["iw", "phy", radio, "set", "netns", "name", node.name], timeout=60)
    if link != name:
        node.ip("link", "set", link, "name", name)


def _ask_hwsim(order: int, attributes: bytes) -> None:
    with NetlinkSocket(genetlink.NETLINK_GENERIC) as kernel:
        family = genetlink.parse_family(kernel.request(genetlink.get_family(_HWSIM))[0].payload)
    payload = genetlink.HEADER.pack(order, 1) + attributes
    request = netlink.Request(type=family, payload=payload, purpose="change a radio")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, genetlink.NETLINK_GENERIC) as kernel:
        kernel.settimeout(SECONDS)
        kernel.bind((0, 0))
        kernel.send(netlink.encode(request, 1, extra=netlink.NLM_F_ACK))
        (number,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    # A new radio's number comes in the place of the error, and is none.
    if number < 0:
        raise HostError(f"the kernel changes no radio: {os.strerror(-number)}")


# ---------------------------------------------------------------------------------------------------------- USB

_CONFIGFS = Path("/sys/kernel/config")
_GADGETS = _CONFIGFS / "usb_gadget"
_DEVICE = ("configs/c.1", "strings/0x409")


class Gadget:
    """A USB device that this machine plays, and plugs into itself.

    Source:
        The kernel's ``Documentation/usb/gadget_configfs.rst``.

    Attributes:
        links: Directories of configfs by function; the file ``ifname`` of each names the device's link once that is
            plugged in.
    """

    def __init__(
        self,
        name: str,
        functions: Sequence[str],
        *,
        controller: int = 0,
        addresses: tuple[str, str] | None = None,
        values: Mapping[str, str] | None = None,
    ) -> None:
        """Make a device that is not plugged in.

        Args:
            name: For configfs.
            functions: What it can do: ``rndis`` (which has to be the first), ``ncm``, ``ecm``.
            controller: What it is to be plugged into: 0 or 1.
            addresses: Hardware addresses of the device's and of the host's link; left out the kernel makes them up.
            values: What configfs is told beyond the device's numbers.
        """
        self._controller = f"dummy_udc.{controller}"
        _bring_controllers()
        self._wait_for_port()
        self._directory = _GADGETS / name
        for directory in reversed(("", *_DEVICE)):
            (self._directory / directory).mkdir(parents=True, exist_ok=True)
        numbers = {"idVendor": "0x1d6b", "idProduct": "0x0104"}  # Linux Foundation, multifunction composite gadget
        for attribute, value in {**numbers, **(values or {})}.items():
            (self._directory / attribute).write_text(value)
        self.links = {function: self._directory / "functions" / f"{function}.usb0" for function in functions}
        for place in self.links.values():
            place.mkdir(parents=True)
            for attribute, value in zip(("dev_addr", "host_addr"), addresses or (), strict=False):
                (place / attribute).write_text(value)
            (self._directory / "configs/c.1" / place.name).symlink_to(place)

    def plug(self) -> None:
        """Plug it in, by one write.

        A file object would try again when it is closed, and at the second try after a failure the kernel (6.1) dies.
        """
        descriptor = os.open(self._directory / "UDC", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, self._controller.encode())
        finally:
            os.close(descriptor)

    def unplug(self) -> None:
        """Pull it out."""
        (self._directory / "UDC").write_text("\n")

    def remove(self) -> None:
        """Undo everything."""
        if (self._directory / "UDC").read_text().strip():
            self.unplug()
        for place in self.links.values():
            (self._directory / "configs/c.1" / place.name).unlink()
            place.rmdir()
        for directory in (*_DEVICE, ""):
            (self._directory / directory).rmdir()

    def _wait_for_port(self) -> None:
        """Wait until the links of whatever was plugged in there before are gone.

        That takes as long as the kernel needs to take down the namespaces they were in; meanwhile it fails to make
        others. A gadget keeps its own links while it is unplugged, so this is to be asked before there is a new one.
        """
        links = Path("/sys/devices/platform", self._controller, self._controller.replace("dummy_udc", "gadget"), "net")
        wait_for(lambda: not links.exists() or not list(links.iterdir()), f"nothing else is in {self._controller}")


def _bring_controllers() -> None:
    """Bring two virtual controllers, which stay.

    Were the module removed, the kernel (6.1) would keep what it knows of the directory that each had for its links, by
    an address in memory that is not theirs any more. If controllers made later get that address, they have no
    directory that links could be put in, and nothing can be plugged in (``EBUSY``).
    """
    if not Path("/sys/module/dummy_hcd").exists():
        command.run(["modprobe", "--all", "libcomposite"], timeout=60)
        command.run(["modprobe", "dummy_hcd", "num=2"], timeout=60)
    if not _GADGETS.exists():
        command.run(["mount", "-t", "configfs", "configfs", str(_CONFIGFS)])


@contextmanager
def usb_device(name: str, functions: Sequence[str]) -> Iterator[dict[str, tuple[str, str]]]:
    """Plug a USB device of several functions into this machine, which is that device too, for the block.

    Yields:
        For each function the link of the device's side and that of the host's.
    """
    # Its class is "interface association" (USB 3.2, table 9-11; the IAD notice).
    values = {"bDeviceClass": "0xef", "bDeviceSubClass": "2", "bDeviceProtocol": "1"}
    texts = {"strings/0x409/product": "Phone", "strings/0x409/serialnumber": name}
    gadget = Gadget(name, functions, values=values | texts)
    try:
        gadget.plug()
        wait_for(lambda: len(_host_sides(name)) == len(functions), "the host's drivers find the functions")
        yield {
            function: ((place / "ifname").read_text().strip(), host)
            for (function, place), host in zip(gadget.links.items(), _host_sides(name), strict=True)
        }
    finally:
        gadget.remove()


def _host_sides(serial: str) -> list[str]:
    """Return the links of the device with that serial number, in the order of its interfaces."""
    devices = [
        path.parent for path in Path("/sys/bus/usb/devices").glob("*/serial") if path.read_text().strip() == serial
    ]
    return [link.name for device in devices for link in sorted(device.glob("*:*/net/*"), key=str)]


# ---------------------------------------------------------------------------------------------------- Bluetooth

_AF_BLUETOOTH = 31  # this Python was built without it
_PROTOCOL_L2CAP, _PROTOCOL_HCI, _PROTOCOL_BNEP = 0, 1, 4
_PSM_BNEP = 15
_NAP, _PANU = 0x1116, 0x1115
_HCI_DEVICE_UP, _HCI_SET_SCAN, _HCI_GET_INFO = 0x400448C9, 0x400448DD, 0x800448D3
_BNEP_CONNECT = 0x400442C8
_SCAN_PAGE_AND_INQUIRY = 3


def bluetooth_network(controllers: tuple[int, int]) -> tuple[str, str]:
    """Join two controllers of this machine by a personal area network.

    The kernel's part of it only: what bluetoothd does before and after (pairing, asking for the service, putting the
    server's link into a bridge) makes no other link.

    Args:
        controllers: Numbers of the access point (NAP) and of its user (PANU).

    Returns:
        The links of the two.
    """
    addresses = [_power(controller) for controller in controllers]
    listening, calling = (_l2cap(address, psm) for address, psm in zip(addresses, (_PSM_BNEP, 0), strict=True))
    with listening, calling:
        _checked(_libc.listen(listening.fileno(), 1))
        where = _l2cap_address(addresses[0], _PSM_BNEP)
        _checked(_libc.connect(calling.fileno(), where, len(where)))
        accepted = _checked(_libc.accept4(listening.fileno(), None, None, socket.SOCK_CLOEXEC))
        with socket.socket(fileno=accepted) as called:
            return _bnep_link(called, _NAP), _bnep_link(calling, _PANU)


def _power(controller: int) -> bytes:
    """Switch a controller on, make it answer calls, and return its address, in the order of the wire."""
    with socket.socket(_AF_BLUETOOTH, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _PROTOCOL_HCI) as hci:
        descriptor = hci.fileno()
        _checked(_libc.ioctl(descriptor, ctypes.c_ulong(_HCI_DEVICE_UP), ctypes.c_ulong(controller)), errno.EALREADY)
        scan = struct.pack("=HxxI", controller, _SCAN_PAGE_AND_INQUIRY)
        _checked(_libc.ioctl(descriptor, ctypes.c_ulong(_HCI_SET_SCAN), scan))
        info = ctypes.create_string_buffer(struct.pack("=H", controller), 256)
        _checked(_libc.ioctl(descriptor, ctypes.c_ulong(_HCI_GET_INFO), info))
        return info.raw[10:16]


def _l2cap(address: bytes, psm: int) -> socket.socket:
    channel = socket.socket(_AF_BLUETOOTH, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC, _PROTOCOL_L2CAP)
    where = _l2cap_address(address, psm)
    _checked(_libc.bind(channel.fileno(), where, len(where)))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        channel.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(SECONDS), 0))
    return channel


def _l2cap_address(address: bytes, psm: int) -> bytes:
    return struct.pack("<HH6sHB", _AF_BLUETOOTH, psm, address, 0, 0).ljust(14, b"\0")


def _bnep_link(channel: socket.socket, role: int) -> str:
    with socket.socket(_AF_BLUETOOTH, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _PROTOCOL_BNEP) as bnep:
        request = ctypes.create_string_buffer(struct.pack("=iIH16s", channel.fileno(), 0, role, b"bnep%d"), 28)
        _checked(_libc.ioctl(bnep.fileno(), ctypes.c_ulong(_BNEP_CONNECT), request))
        return request.raw[10:26].partition(b"\0")[0].decode()


def _checked(result: int, *harmless: int) -> int:
    """Return what a system call returned.

    Raises:
        OSError: It failed, and not by one of the *harmless* error numbers.
    """
    number = ctypes.get_errno()
    if result < 0 and number not in harmless:
        raise OSError(number, os.strerror(number))
    return result
