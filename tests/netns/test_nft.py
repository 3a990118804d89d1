"""nft's engine by its shared library, against the real kernel in a namespace of our own.

A context stays in the namespace of the thread that made it, so each test runs its code in a fresh process that
`unshare` has put into a new namespace.
"""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.netns

PRELUDE = """
import json, sys
from icshare.errors import HostError, NotSupportedError, PrivilegeError
from icshare.host import nft
from icshare.host.nft import Nftables

def show(value):
    print(json.dumps(value))

"""

RULESET = """
table inet icshare
delete table inet icshare
table inet icshare {
    chain forward {
        type filter hook forward priority filter; policy accept;
        iifname "lan0" oifname "wan0" accept comment "icshare: out"
    }
}
"""


@pytest.fixture
def in_namespace() -> Callable[..., Any]:
    """Give a function that runs code in a new network namespace and returns what it passed to ``show()``."""

    def run(code: str, *, wrapper: tuple[str, ...] = ("unshare", "--map-root-user", "--net")) -> Any:
        program = PRELUDE + f"RULESET = {RULESET!r}\n" + textwrap.dedent(code)
        result = subprocess.run(
            [*wrapper, sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=dict(os.environ),
        )
        if "unshare failed" in result.stderr:
            pytest.skip(f"this machine gives no namespaces: {result.stderr.strip()}")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return run


def test_a_loaded_table_is_listed(in_namespace: Callable[..., Any]) -> None:
    listed = in_namespace("""
        with Nftables() as engine:
            before = engine.table_exists("inet", "icshare"), engine.list_json()
            engine.load(RULESET)
            engine.load(RULESET)
            rules = [entry["rule"]["comment"] for entry in engine.list_json("table inet icshare") if "rule" in entry]
            exists = [engine.table_exists(family, "icshare") for family in ("inet", "ip")]
            show([before[0], len(before[1]), *exists, rules])
    """)
    # An empty ruleset is listed as its metainfo or, by older engines, as nothing at all.
    assert listed[1] in {0, 1}
    assert [listed[0], *listed[2:]] == [False, True, False, ["icshare: out"]]


def test_elements_need_not_be_listed(in_namespace: Callable[..., Any]) -> None:
    listed = in_namespace("""
        with Nftables() as engine:
            engine.load("table inet big { set ports { type inet_service; elements = { 80, 443 }; }; }")
            found = [str(engine.list_json("ruleset inet", elements=elements)) for elements in (True, False)]
            show([engine.table_exists("inet", "big"), *("443" in objects for objects in found)])
    """)
    assert listed == [True, True, False]


def test_a_refusal_names_the_line_and_changes_nothing(in_namespace: Callable[..., Any]) -> None:
    message, notes, tables = in_namespace("""
        with Nftables() as engine:
            engine.load("table inet kept {}")
            try:
                engine.load("table inet other {\\n chain a {\\n  jump nowhere\\n }\\n}\\n")
            except HostError as error:
                tables = [entry["table"]["name"] for entry in engine.list_json("tables") if "table" in entry]
                show([str(error), error.__notes__, tables])
    """)
    words = "Could not process rule: No such file or directory"
    assert message == f"nft refused the ruleset: line 3, column 8: {words} (in: jump nowhere)"
    assert "^^^^^^^" in notes[0]
    assert tables == ["kept"]


def test_a_syntax_error_is_told_with_its_line(in_namespace: Callable[..., Any]) -> None:
    message = in_namespace("""
        with Nftables() as engine:
            try:
                engine.load("table inet x {\\n chain a {\\n  ip saddr 1.2.3.4.5 drop\\n }\\n}\\n")
            except HostError as error:
                show(str(error))
    """)
    assert message.startswith("nft refused the ruleset: line 3, column ")
    assert "syntax error" in message


def test_a_check_applies_nothing(in_namespace: Callable[..., Any]) -> None:
    verdicts = in_namespace("""
        with Nftables() as engine:
            good = engine.check(RULESET)
            bad = engine.check("table inet x { chain a { jump nowhere; }; }")
            show([good, bad, engine.table_exists("inet", "icshare")])
            engine.load(RULESET)  # the dry run is over
            show_after = engine.table_exists("inet", "icshare")
            assert show_after
    """)
    assert verdicts[0] is None
    assert "No such file or directory" in verdicts[1]
    assert verdicts[2] is False


def test_an_object_that_is_not_there_cannot_be_listed(in_namespace: Callable[..., Any]) -> None:
    message = in_namespace("""
        with Nftables() as engine:
            try:
                engine.list_json("table inet nothing")
            except HostError as error:
                show(str(error))
    """)
    assert message.startswith("nft could not list table inet nothing")


def test_a_text_listing_carries_handles(in_namespace: Callable[..., Any]) -> None:
    listing = in_namespace("""
        with Nftables() as engine:
            engine.load(RULESET)
            show(engine.list_text())
    """)
    assert listing.startswith("table inet icshare { # handle ")
    assert 'accept comment "icshare: out" # handle ' in listing


def test_many_contexts_leave_no_descriptors(in_namespace: Callable[..., Any]) -> None:
    before, after = in_namespace("""
        import os
        with Nftables() as engine:
            engine.load(RULESET)
        count = lambda: len(os.listdir("/proc/self/fd"))
        first = count()
        for _ in range(50):
            with Nftables() as engine:
                engine.load(RULESET)
                engine.list_json()
        show([first, count()])
    """)
    assert before == after


LARGE = """
rules = "\\n".join(f'ip saddr 10.{n // 256}.{n % 256}.1 accept' for n in range(5000))
text = "table inet big { chain a {\\n" + rules + "\\n}\\n}"
"""


def test_a_large_ruleset_goes_through_whole(in_namespace: Callable[..., Any]) -> None:
    if Path("/proc/self/uid_map").read_text(encoding="ascii").split() != ["0", "0", "4294967295"] or os.geteuid() != 0:
        pytest.skip("only the machine's root may send the kernel a message larger than net.core.wmem_default")
    count = in_namespace(
        LARGE
        + textwrap.dedent("""
        with Nftables() as engine:
            engine.load(text)
            show(sum("rule" in entry for entry in engine.list_json()))
        """),
        wrapper=("unshare", "--net"),
    )
    assert count == 5000


def test_a_ruleset_too_large_for_a_user_namespace_says_whose_limit_it_is(in_namespace: Callable[..., Any]) -> None:
    message, hint, tables = in_namespace(
        LARGE
        + textwrap.dedent("""
        with Nftables() as engine:
            try:
                engine.load(text)
            except HostError as error:
                show([str(error), error.hint, engine.table_exists("inet", "big")])
        """)
    )
    assert "Message too long" in message
    assert "net.core.wmem_default" in hint
    assert tables is False


def test_a_process_without_the_capability_is_told_so(in_namespace: Callable[..., Any]) -> None:
    if os.getuid() != 0:
        pytest.skip("dropping a capability needs one: run as root")
    told = in_namespace(
        """
        try:
            with Nftables() as engine:
                engine.list_json()
        except PrivilegeError as error:
            show([str(error), error.hint])
        """,
        wrapper=("unshare", "--net", "setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"),
    )
    assert "CAP_NET_ADMIN" in told[0]
    assert "root" in told[1]


def test_a_namespace_of_somebody_else_is_refused_as_a_privilege(in_namespace: Callable[..., Any]) -> None:
    """Root of a user namespace has the capability, but not over the network namespace it came from."""
    told = in_namespace(
        """
        try:
            with Nftables() as engine:
                engine.list_json()
        except PrivilegeError as error:
            show(str(error))
        """,
        wrapper=("unshare", "--map-root-user"),
    )
    assert "CAP_NET_ADMIN" in told


def test_tables_of_others_may_come_and_go_while_they_are_read(in_namespace: Callable[..., Any]) -> None:
    """Whoever was quick enough to list a table and slow enough to read it then ended with an error."""
    found = in_namespace("""
        import subprocess, threading
        from icshare.host import ruleset

        ended = threading.Event()
        def come_and_go():
            while not ended.is_set():
                for words in ("add table inet other; add chain inet other c", "delete table inet other"):
                    subprocess.run(["nft", words], check=True)
        others = threading.Thread(target=come_and_go)
        others.start()
        try:
            read = [ruleset.foreign() for _ in range(100)]
        finally:
            ended.set()
            others.join()
        show(sorted({bool(objects) for objects, _ in read}))
    """)
    assert found
