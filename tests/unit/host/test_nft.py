"""What is said of a refusal by nft, without a kernel."""

import pytest

from icshare.errors import NotSupportedError
from icshare.host import nft


def test_a_missing_library_names_the_package() -> None:
    with pytest.raises(NotSupportedError, match=r"libnftables-that-is-not-there\.so\.1") as caught:
        nft.Nftables(library="libnftables-that-is-not-there.so.1").__enter__()
    assert caught.value.hint == "apt install libnftables1"


def test_a_refusal_is_one_line_with_its_place() -> None:
    errors = "ruleset:4:7-13: Error: Could not process rule: No such file or directory\n jump nowhere\n      ^^^^^^^\n"
    words = "Could not process rule: No such file or directory"
    assert nft.first_refusal(errors) == f"line 4, column 7: {words} (in: jump nowhere)"


def test_a_refusal_without_a_place_keeps_its_words() -> None:
    words = "Could not process rule: Device or resource busy"
    assert nft.first_refusal(f"Error: {words}\n") == words
    assert nft.first_refusal("netlink: Error: something else\nmore") == "netlink: Error: something else"


def test_closing_twice_is_harmless() -> None:
    engine = nft.Nftables()
    engine.close()
    engine.close()
