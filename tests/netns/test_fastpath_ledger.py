"""What programs of the fast path have counted is kept in the sharing's table when they go, whoever is killed."""

import textwrap
from typing import Any

import pytest
from tests.netns.inside import Inside

pytestmark = [pytest.mark.netns, pytest.mark.programs]

PRELUDE = """
from icshare.host.nft import Nftables

def client(number):
    return wire.ACCOUNT.pack(bytes(10) + b"\\xff\\xff" + IPv4Address(f"192.168.137.{number}").packed, 0, 0, 0)

def count(account, slot, sent, received):
    # One of the running programs has counted for an account, on one CPU.
    with looked() as (links, held):
        found = attachments.open_maps(links.ours[0].program, held)
        found["accounts"].update(account, wire.key(slot))
        zeros = wire.COUNTER.pack(0, 0, 0, 0) * (libbpf.possible_cpus() - 1)
        found["counters"].update(wire.key(slot), wire.COUNTER.pack(sent, 1, received, 1) + zeros)

def bytes_told():
    return {str(to.address): [one.sent_bytes, one.received_bytes] for to, one in fastpath.traffic().items()}
"""


def run(inside: Inside, code: str) -> Any:
    return inside(PRELUDE + textwrap.dedent(code))


def test_what_was_counted_survives_a_stop_for_as_long_as_the_table_stays(inside: Inside) -> None:
    """It was forgotten, so that the bytes of a client went backwards."""
    found = run(
        inside,
        """
        sh("nft add table inet icshare")
        told = []
        for round in (1, 2, 3):
            fastpath.start(XDP)
            count(client(9), 3, 10, 20)
            count(client(round), 4, round, 0)
            fastpath.stop()
            told.append(bytes_told())
        fastpath.start(TC)
        told.append(bytes_told())
        sh("nft delete table inet icshare")
        told.append(bytes_told())
        fastpath.stop()
        show([told, sh("nft list tables")])
    """,
    )
    told, tables = found
    firsts = [{f"192.168.137.{number}": [number, 0] for number in range(1, rounds + 1)} for rounds in (1, 2, 3, 3)]
    nines = [{"192.168.137.9": [sum_, 2 * sum_]} for sum_ in (10, 20, 30, 30)]
    assert told == [*(one | other for one, other in zip(firsts, nines, strict=True)), {}]
    assert tables == "table inet x\n"


def test_nothing_is_written_down_where_nothing_was_counted(inside: Inside) -> None:
    found = run(
        inside,
        """
        sh("nft add table inet icshare")
        before = sh("nft list ruleset")
        for one in (XDP, TC):
            fastpath.start(one)
            fastpath.stop()
        show(sh("nft list ruleset") == before)
    """,
    )
    assert found


def test_what_was_counted_survives_new_maps(inside: Inside) -> None:
    """A version with another layout begins with empty ones."""
    found = run(
        inside,
        """
        sh("nft add table inet icshare")
        fastpath.start(TC)
        count(client(9), 3, 10, 20)
        loader._kept = lambda *_: {}
        fastpath.start(BOTH)
        told = [bytes_told()]
        count(client(9), 5, 1, 2)
        told.append(bytes_told())
        fastpath.start(XDP)
        told.append(bytes_told())
        fastpath.stop()
        show([*told, bytes_told()])
    """,
    )
    assert found == [{"192.168.137.9": one} for one in ([10, 20], [11, 22], [11, 22], [11, 22])]


@pytest.mark.parametrize("moment", ["before it is written", "after it was written", "in the middle", "at the end"])
@pytest.mark.parametrize("action", ["stop()", "start(BOTH)"])
def test_a_kill_at_any_moment_counts_nothing_twice_and_forgets_nothing(
    inside: Inside, action: str, moment: str
) -> None:
    """Programs are taken away, or others with new maps take their place."""
    found = run(
        inside,
        f"""
        ACTION, MOMENT = "{action}", "{moment}"
        sh("nft add table inet icshare")
        loader._kept = lambda *_: {{}}
        for round in (1, 2):
            fastpath.start(TC)
            count(client(9), 3, 10, 20)
            if round == 1:
                fastpath.stop()
        write, take_away = counting.ledger.write, loader.detach

        def write_or_die(nft, books):
            if MOMENT.startswith("after"):
                write(nft, books)
            os._exit(9)

        def take_and_die(kernel, links, attachments):
            take_away(kernel, links, [*attachments][: 1 if MOMENT == "in the middle" else None])
            os._exit(9)

        if os.fork() == 0:
            if MOMENT.endswith("written"):
                counting.ledger.write = write_or_die
            else:
                loader.detach = take_and_die
            eval("fastpath." + ACTION)
            os._exit(0)
        died = os.waitstatus_to_exitcode(os.wait()[1]) == 9
        told = [bytes_told()]
        for one in ("start(TC)", "start(XDP)", "stop()", "start(TC)", "stop()"):
            eval("fastpath." + one)
            told.append(bytes_told())
        show([died, told])
    """,
    )
    assert found == [True, [{"192.168.137.9": [20, 40]}] * 6]


def test_the_places_of_what_is_forgotten_are_given_to_others(inside: Inside) -> None:
    """Accounts were never closed, so that after 16,383 mappings and clients nobody else went fast."""
    found = run(
        inside,
        """
        def mapping(number):
            return wire.Account(IPv4Address("192.168.137.9"), 80, number, 6)

        def key(account):
            address = bytes(10) + b"\\xff\\xff" + account.address.packed
            return wire.ACCOUNT.pack(address, account.port, account.external, account.protocol)

        def spare():
            with looked() as there:
                (queue,), (counters,) = maps(there, "spare"), maps(there, "counters")
                pop = libbpf._load_library().bpf_map_lookup_and_delete_elem
                pop.argtypes, found = [ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p], []
                value = ctypes.create_string_buffer(4)
                while pop(queue.fd, None, value) == 0:
                    counted = wire.sum_counters(counters.lookup(value.raw))
                    found.append([wire.slot(value.raw), counted == wire.Counter()])
                return found

        def told():
            return sorted(to.external for to in fastpath.traffic())

        sh("nft add table inet icshare")
        fastpath.start(TC)
        for number in (1, 2, 3):
            count(key(mapping(number)), number, 10, 20)
        fastpath.stop()
        fastpath.start(TC)
        for number in (2, 3, 4):
            count(key(mapping(number)), 10 + number, 10, 20)
        generation = config().generation
        before, nft = told(), Nftables().__enter__()
        fastpath.forget({mapping(5)}, nft)
        unmoved = config().generation == generation
        fastpath.forget({mapping(1), mapping(2), mapping(4), mapping(5)}, nft)
        counter = fastpath.traffic()[mapping(3)]
        show([before, unmoved, told(), counter.sent_bytes, config().generation - generation, sorted(spare())])
    """,
    )
    assert found == [[1, 2, 3, 4], True, [3], 20, 1, [[12, True], [14, True]]]


def test_who_has_little_room_left_for_accounts_begins_with_new_maps(inside: Inside) -> None:
    found = run(
        inside,
        """
        sh("nft add table inet icshare")
        fastpath.start(TC)
        count(client(9), 3, 10, 20)
        with looked() as there:
            (opened,) = maps(there, "accounts")
            for number in range(opened.layout.max_entries // 2):
                opened.update(wire.ACCOUNT.pack(bytes(16), number, 0, 6), wire.key(1000))
            full = opened.id
        fastpath.start(XDP)
        with looked() as there:
            (opened,) = maps(there, "accounts")
            show([opened.id != full, len(opened.items()), bytes_told()])
    """,
    )
    assert found == [True, 0, {"192.168.137.9": [10, 20]}]
