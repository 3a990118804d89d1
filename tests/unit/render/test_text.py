"""What a text of ours says of its own rules, which the kernel's listing is held against."""

from icshare.render.text import chain, rule, rules_of

_TEXT = "table inet icshare {\n" + "\n\n".join(
    [
        chain(
            "forward", "type filter hook forward priority filter; policy accept;", [rule("accept", "a chain of words")]
        ),
        chain("decide", "", [rule("drop", 'because "so"'), rule("counter", "and so")]),
        chain("empty", "", []),
    ]
)


def test_the_rules_of_each_chain_are_known_and_nothing_that_only_looks_like_one() -> None:
    assert rules_of(_TEXT) == {"forward": ["a chain of words"], "decide": ['because "so"', "and so"], "empty": []}
    assert rules_of("add chain inet icshare helpers\ndelete chain inet icshare helpers\n") == {}
