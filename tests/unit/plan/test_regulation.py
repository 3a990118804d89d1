"""What the rules of a country allow."""

import pytest

from icshare.errors import InvalidRequestError
from icshare.model.names import interface_name
from icshare.model.regulation import Regulation, RegulatoryRule
from icshare.model.wifi import AccessPoint, Band, Channel, Country, Ssid
from icshare.plan.regulation import channel_at, channels_under, refuse_forbidden

DE = Country("DE")


def rule(start: int, end: int, *, no_ir: bool = False, radar: bool = False) -> RegulatoryRule:
    return RegulatoryRule(start=start, end=end, max_bandwidth=80_000, no_ir=no_ir, radar=radar)


HERE = Regulation(
    country=DE,
    rules=(
        rule(2_402_000, 2_472_000),
        rule(2_457_000, 2_482_000, no_ir=True),
        rule(5_170_000, 5_250_000),
        rule(5_250_000, 5_330_000, radar=True),
        rule(5_735_000, 5_755_000),
        rule(5_945_000, 6_425_000, no_ir=True),
    ),
)


def wanted(band: Band | None = None, channel: int | None = None) -> AccessPoint:
    return AccessPoint(
        interface=interface_name("wlan0"), ssid=Ssid("x"), secret="0" * 16, band=band, channel=channel, country=DE
    )


def channel(number: int, frequency: int, band: Band = Band.GHZ5, *, disabled: bool = False) -> Channel:
    return Channel(band=band, number=number, frequency=frequency, disabled=disabled)


def test_channels_get_the_flags_of_the_country_whatever_they_had() -> None:
    rules = (
        RegulatoryRule(start=2_400_000, end=2_483_500, max_bandwidth=40_000),
        RegulatoryRule(start=5_250_000, end=5_350_000, max_bandwidth=80_000, radar=True),
        RegulatoryRule(start=5_725_000, end=5_875_000, max_bandwidth=80_000, no_ir=True),
    )
    found = channels_under(
        Regulation(country=DE, rules=rules),
        [
            channel(13, 2472, Band.GHZ2, disabled=True),
            channel(14, 2484, Band.GHZ2),
            channel(52, 5260),
            channel(149, 5745),
            channel(173, 5865),
            channel(177, 5885),
        ],
    )
    assert [(one.number, one.disabled, one.no_ir, one.radar) for one in found] == [
        (13, False, False, False),
        (14, True, False, False),
        (52, False, False, True),
        (149, False, True, False),
        (173, False, True, False),
        (177, True, False, False),
    ]


def test_a_channel_that_reaches_beyond_its_range_is_forbidden() -> None:
    rule = RegulatoryRule(start=5_170_000, end=5_190_000, max_bandwidth=20_000)
    (inside, outside) = channels_under(Regulation(country=DE, rules=(rule,)), [channel(36, 5180), channel(37, 5181)])
    assert (inside.disabled, outside.disabled) == (False, True)


@pytest.mark.parametrize(
    ("band", "number", "frequency"),
    [(Band.GHZ2, 1, 2412), (Band.GHZ2, 14, 2484), (Band.GHZ5, 36, 5180), (Band.GHZ6, 5, 5975), (Band.GHZ6, 233, 7115)],
)
def test_a_channel_has_its_centre(band: Band, number: int, frequency: int) -> None:
    assert channel_at(band, number) == channel(number, frequency, band)


@pytest.mark.parametrize(
    ("band", "number"),
    [(None, None), (Band.GHZ2, None), (Band.GHZ5, None), (Band.GHZ2, 11), (None, 11), (None, 52), (Band.GHZ5, 149)],
)
def test_what_the_country_allows_is_not_refused(band: Band | None, number: int | None) -> None:
    refuse_forbidden(HERE, wanted(band, number))


@pytest.mark.parametrize(
    ("band", "number", "words"),
    [
        (Band.GHZ6, None, "no access point may be on 6 GHz in DE"),
        (None, 13, "no access point may be on channel 13 in DE"),
        (Band.GHZ5, 100, "no access point may be on 5 GHz, channel 100 in DE"),
        (Band.GHZ5, 11, "no access point may be on 5 GHz, channel 11 in DE"),
        (None, 37, "no access point may be on channel 37 in DE"),
    ],
)
def test_what_the_country_forbids_is_refused_with_what_it_allows(
    band: Band | None, number: int | None, words: str
) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        refuse_forbidden(HERE, wanted(band, number))
    assert str(refusal.value) == words
    assert refusal.value.hint == "channels that may be used there: 2.4 GHz: 1-11; 5 GHz: 36-64, 149"


def test_a_country_that_allows_nothing_says_so() -> None:
    with pytest.raises(InvalidRequestError, match="on any channel in DE") as refusal:
        refuse_forbidden(Regulation(country=DE, rules=()), wanted())
    assert refusal.value.hint == "channels that may be used there: none"
