"""What radios may do in which country.

Source:
    regulatory.db(5) of wireless-regdb; the kernel's ``net/wireless/reg.c``.
"""

from dataclasses import dataclass

from icshare.model.wifi import Country


@dataclass(frozen=True, slots=True, kw_only=True)
class RegulatoryRule:
    """What holds in one range of frequencies.

    Attributes:
        start: Lower end in kHz.
        end: Upper end in kHz.
        max_bandwidth: Widest channel in kHz.
        max_power: Greatest power in hundredths of dBm (EIRP).
        no_ir: Nothing may begin to send there: no access point.
        radar: It may be used only where no radar is heard (DFS).
        no_outdoor: Indoors only.
        auto_bandwidth: A channel may reach into a neighbouring range.
    """

    start: int
    end: int
    max_bandwidth: int
    max_power: int = 0
    no_ir: bool = False
    radar: bool = False
    no_outdoor: bool = False
    auto_bandwidth: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Regulation:
    """What holds in one country.

    Attributes:
        country: Its code; `wifi.WORLD` where none is set.
        rules: Its rules, as they are in the database. What no rule allows is forbidden.
    """

    country: Country
    rules: tuple[RegulatoryRule, ...]
