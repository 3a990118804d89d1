"""What a text of ours says of its own size, which the kernel's listing is held against."""

from icshare.render.text import chain, count, has_chain, rule

_TEXT = "table inet icshare {\n" + "\n\n".join(
    [
        chain(
            "forward", "type filter hook forward priority filter; policy accept;", [rule("accept", "a chain of words")]
        ),
        chain("decide", "", [rule("drop", 'because "so"'), rule("counter", "and so")]),
    ]
)


def test_chains_and_rules_are_counted_and_nothing_that_only_looks_like_one() -> None:
    assert count(_TEXT) == (2, 3)
    assert count("add chain inet icshare helpers\ndelete chain inet icshare helpers\n") == (0, 0)


def test_a_chain_is_found_by_its_whole_name() -> None:
    assert [has_chain(_TEXT, name) for name in ("forward", "decide", "for", "chain", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]
