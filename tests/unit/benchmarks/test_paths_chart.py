"""The chart of the paths."""

from xml.etree import ElementTree as ET

from benchmarks.paths.chart import WIDTH, draw
from benchmarks.paths.contenders import PLAIN, XDP
from benchmarks.paths.results import LOADED, PACKETS, Results

SVG = "{http://www.w3.org/2000/svg}"
PEER = "<peers> & others"


def chart() -> ET.Element:
    results = Results(contenders=(PLAIN, XDP, PEER))
    for repeat, rate in enumerate((0.9e6, 1e6, 1.1e6)):
        results.add(PLAIN, PACKETS[0], repeat, rate)
        results.add(XDP, PACKETS[0], repeat, 3 * rate)
    results.add(PEER, PACKETS[0], 0, 0.5e6)
    results.add(XDP, LOADED[1], 0, 1e-3)
    results.add(PEER, LOADED[1], 0, 2e-3)
    return ET.fromstring(draw(results, "3 repeats"))


def texts() -> list[str]:
    return [one.text or "" for one in chart().iter(f"{SVG}text")]


def bars() -> list[float]:
    return [float(one.attrib["width"]) for one in chart().iter(f"{SVG}rect") if one.attrib["height"] == "13"]


def test_only_what_was_measured_has_a_panel() -> None:
    assert "1 flow up" in texts()
    assert "p99 loaded" in texts()
    assert "1 flow down" not in texts()


def test_the_best_comes_first() -> None:
    found = [one for one in texts() if one in {PLAIN, XDP, PEER}]
    assert found == [XDP, PLAIN, PEER, XDP, PEER]  # the highest rate, the shortest time


def test_bars_are_as_long_as_their_values() -> None:
    rates, times = bars()[:3], bars()[3:]
    assert [round(one / rates[0], 2) for one in rates] == [1, 0.33, 0.17]
    assert [round(one / times[1], 2) for one in times] == [0.5, 1]


def test_values_are_shown_in_their_unit() -> None:
    assert {"3", "1", "0.5", "1,000", "2,000"} <= {*texts()}


def test_values_with_a_spread_have_a_whisker_and_single_ones_none() -> None:
    assert len([*chart().iter(f"{SVG}path")]) == 2


def test_nothing_lies_outside_of_the_picture() -> None:
    height = float(chart().attrib["height"])
    for one in chart().iter(f"{SVG}rect"):
        assert float(one.attrib.get("x", 0)) + float(one.attrib["width"]) <= WIDTH
        assert float(one.attrib.get("y", 0)) + float(one.attrib["height"]) <= height


def test_a_whisker_longer_than_the_panel_is_cut_off_and_has_no_end() -> None:
    results = Results(contenders=(PLAIN, XDP))
    for repeat, (plain, xdp) in enumerate([(1e-3, 1e-3), (1e-3, 2e-3), (1e-3, 9.0)]):
        results.add(PLAIN, LOADED[1], repeat, plain)
        results.add(XDP, LOADED[1], repeat, xdp)
    drawing = ET.fromstring(draw(results, "3 repeats"))
    (whisker,) = drawing.iter(f"{SVG}path")
    assert whisker.attrib["d"].count("v6") == 1
    assert max(float(one.attrib["width"]) for one in drawing.iter(f"{SVG}rect") if one.attrib["height"] == "13") > 100
