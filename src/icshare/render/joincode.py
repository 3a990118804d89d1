"""The text of the QR code by which a phone joins a wireless network.

Source:
    "Barcode Contents" of the ZXing project, Wi-Fi network config, which Android and iOS read.
"""

import re

from icshare.model.wifi import Passphrase, Ssid

_SPECIAL = re.compile(r'[\\;,:"]')


def join_code(ssid: Ssid, passphrase: Passphrase, *, hidden: bool = False) -> str:
    """Return what the code says; the type WPA stands for WPA2 and WPA3 as well.

    A name of hexadecimal digits is not put in quotes, as the source advises: no phone of today reads it as a number,
    and some take the quotes for a part of the name.
    """
    fields = ["T:WPA", f"S:{_escaped(ssid)}", f"P:{_escaped(passphrase.reveal())}", *(["H:true"] if hidden else [])]
    return f"WIFI:{';'.join(fields)};;"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
