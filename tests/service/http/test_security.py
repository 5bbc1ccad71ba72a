import statistics
import time

import pytest

from partita.errors import AccessError, BusyError
from partita.service.http.security import (
    LOCAL_PAGES,
    REMEMBERED_CALLERS,
    Callers,
    caller_of,
    check_host,
    check_origin,
    check_token,
    host_name,
    is_named,
)

TOKEN = "correct horse"


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer  {TOKEN} ", TOKEN])
def test_the_token_is_taken_as_clients_send_it(given):
    check_token([given], TOKEN)


@pytest.mark.parametrize(
    "given",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        ["Bearer correct"],
        [f"Basic {TOKEN}"],
        [f"Bearer {TOKEN}x"],
        [f"Bearer {TOKEN.upper()}"],
        [f"Bearer {TOKEN}", f"Bearer {TOKEN}"],
        ["Bearer \udcff"],
    ],
)
def test_any_other_token_is_refused_and_never_repeated(given):
    with pytest.raises(AccessError) as refusal:
        check_token(given, TOKEN)
    assert not refusal.value.known
    assert TOKEN not in str(refusal.value)


def test_how_much_of_a_token_is_right_cannot_be_timed():
    secret = "s" * 64

    def seconds(guess: str) -> float:
        began = time.perf_counter()
        for _ in range(300):
            with pytest.raises(AccessError):
                check_token([f"Bearer {guess}"], secret)
        return time.perf_counter() - began

    near, far = "s" * 63 + "x", "x" * 64
    pairs = [(seconds(near), seconds(far)) for _ in range(7)]
    ratio = statistics.median(one / other for one, other in pairs)
    assert 0.7 < ratio < 1.4


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8460", "127.0.0.1:8460", "[::1]:8460", "127.8.9.1", "studio"])
def test_names_of_this_machine_are_answered(host):
    check_host([host], "studio")


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["evil.example"],
        ["localhost.evil.example"],
        ["evil.example:80@localhost"],
        ["localhost", "localhost"],
        ["192.168.1.7"],
        ["0.0.0.0"],
        ["[::1"],
        ["127.0.0.1.nip.io"],
    ],
)
def test_other_names_are_refused(hosts):
    with pytest.raises(AccessError, match="answers to localhost"):
        check_host(hosts, "127.0.0.1")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "localhost"),
        ("http://localhost:5173", "127.0.0.1:8460"),
        ("http://127.0.0.1:3000", "localhost:8460"),
        ("https://music.example", "music.example"),
        ("https://page.example", "localhost"),
    ],
)
def test_pages_of_ours_of_this_machine_and_named_ones_may_change_things(origin, host):
    check_origin(origin, host, ["https://page.example"])


@pytest.mark.parametrize(
    "origin", ["null", "", "https://evil.example", "http://page.example", "https://localhost.evil.example", "file://"]
)
def test_other_pages_may_not(origin):
    with pytest.raises(AccessError, match="--cors-origin"):
        check_origin(origin, "localhost:8460", ["https://page.example"])


@pytest.mark.parametrize(
    ("netloc", "name"), [("a.example:8", "a.example"), ("[::1]:8", "::1"), ("A.", "a"), ("", None), ("[", None)]
)
def test_the_name_of_an_address(netloc, name):
    assert host_name(netloc) == name


def test_a_network_of_ipv6_is_one_caller():
    assert caller_of("2001:db8:1:2::3") == caller_of("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert caller_of("2001:db8:1:3::3") != caller_of("2001:db8:1:2::3")
    assert caller_of("::ffff:10.0.0.1") == caller_of("10.0.0.1") == "10.0.0.1"
    assert caller_of(None) == "local"


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def test_a_minutes_worth_may_be_asked_at_once_and_then_as_it_comes_back():
    clock = Clock()
    callers = Callers(60, 10, clock)
    for _ in range(60):
        callers.ask("a")
    with pytest.raises(BusyError) as refusal:
        callers.ask("a")
    assert refusal.value.retry_after_s == pytest.approx(1.0)
    callers.ask("b")
    clock.at = 1.01
    callers.ask("a")
    with pytest.raises(BusyError):
        callers.ask("a")
    clock.at = 1000
    for _ in range(60):
        callers.ask("a")


def test_who_is_refused_is_not_kept_out_for_longer_by_asking():
    clock = Clock()
    callers = Callers(1, 10, clock)
    callers.ask("a")
    for second in range(1, 60):
        clock.at = second
        with pytest.raises(BusyError):
            callers.ask("a")
    clock.at = 60.01
    callers.ask("a")


def test_no_limit_of_rate_where_it_is_nought():
    callers = Callers(0, 10)
    for _ in range(10_000):
        callers.ask("a")
    assert callers.remembered == 0


def test_so_many_requests_of_one_caller_are_open_at_once():
    callers = Callers(0, 2)
    callers.enter("a")
    callers.enter("a")
    with pytest.raises(BusyError) as refusal:
        callers.enter("a")
    assert refusal.value.retry_after_s > 0
    callers.enter("b")
    callers.leave("a")
    callers.enter("a")
    for caller in ("a", "a", "b"):
        callers.leave(caller)
    assert callers.remembered == 0


def test_callers_take_bounded_memory():
    callers = Callers(60, 2)
    for number in range(REMEMBERED_CALLERS + 500):
        callers.ask(str(number))
    assert callers.remembered == REMEMBERED_CALLERS


@pytest.mark.parametrize("origin", ["http://localhost:5173", "https://127.0.0.1", "http://[::1]:80"])
def test_local_stands_for_every_page_of_this_machine(origin):
    assert is_named(origin, [LOCAL_PAGES])
    assert not is_named(origin, [])


@pytest.mark.parametrize(
    "origin", ["null", "http://localhost.evil.example", "file://localhost", "http://", "http://[", "http://a@localhost"]
)
def test_local_stands_for_no_other_page(origin):
    assert not is_named(origin, [LOCAL_PAGES])
