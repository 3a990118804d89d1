"""The code by which a phone joins, read back as a phone reads it."""

import re

from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import InvalidRequestError
from icshare.model.wifi import Ssid, passphrase, ssid
from icshare.render.joincode import join_code


def _is_ssid(text: str) -> bool:
    try:
        ssid(text)
    except InvalidRequestError:
        return False
    return True


SSIDS = st.text(min_size=1, max_size=32).filter(_is_ssid)
PASSPHRASES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=8, max_size=63)


def decode(code: str) -> dict[str, str]:
    """Return the fields of a code: each ends with a semicolon that no backslash stands before."""
    assert code.startswith("WIFI:")
    fields = re.findall(r"([A-Z]):((?:[^\\;]|\\.)*);", code.removeprefix("WIFI:"))
    return {name: re.sub(r"\\(.)", r"\1", value) for name, value in fields}


def test_a_code_is_as_documented() -> None:
    code = join_code(Ssid('my "net"; a:b,c\\d'), passphrase('p;a:s,s"w\\d'), hidden=True)
    assert code == r"WIFI:T:WPA;S:my \"net\"\; a\:b\,c\\d;P:p\;a\:s\,s\"w\\d;H:true;;"


@given(SSIDS, PASSPHRASES)
def test_a_phone_reads_what_was_meant(name: str, words: str) -> None:
    code = join_code(ssid(name), passphrase(words))
    assert code.endswith(";;")
    assert decode(code) == {"T": "WPA", "S": name, "P": words}
