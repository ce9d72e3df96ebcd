"""Ranges of addresses and BINs: what is in them, checked against a search through all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.decision.policy.ranges import Ranges, range_of

NETWORKS = ["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"]


def ranges(of: str, *entries: tuple[str, int]) -> Ranges:
    spans = [(span, expires_ms) for text, expires_ms in entries if (span := range_of(of, text)) is not None]
    return Ranges.joined(of, spans)


@pytest.mark.parametrize(
    ("address", "expires_ms"),
    [
        ("9.255.255.255", -1),
        ("10.0.0.0", 5),
        ("10.1.0.0", 9),  # of two networks the one that expires later
        ("10.1.255.255", 9),
        ("10.2.0.0", 5),
        ("10.255.255.255", 5),
        ("11.0.0.0", -1),
        ("2001:db8::", 7),
        ("2001:0DB8:ffff::1", 7),
        ("2001:db9::", -1),
        ("no address", -1),
    ],
)
def test_an_address_is_in_its_network(address: str, expires_ms: int) -> None:
    assert ranges("ip", *zip(NETWORKS, (5, 9, 7), strict=True)).expiry_ms(address) == expires_ms


def test_an_ipv6_address_is_the_same_however_it_is_written() -> None:
    assert ranges("ip", ("2001:DB8:0:0::1", 3)).expiry_ms("2001:db8::1") == 3


@pytest.mark.parametrize(
    ("value", "expires_ms"),
    [("411110", -1), ("411111", 4), ("41111199", 4), ("411199", 4), ("411200", -1), ("4111", -1), ("411150", 4)],
)
def test_a_bin_of_any_length_is_in_a_range_that_holds_all_of_it(value: str, expires_ms: int) -> None:
    assert ranges("bin", ("411111-411199", 4)).expiry_ms(value) == expires_ms


def test_a_bin_of_six_digits_is_in_ranges_of_eight_that_hold_it_together_until_the_first_expires() -> None:
    together = ranges("bin", ("41111100-41111149", 4), ("41111150-41111199", 2))
    assert together.expiry_ms("411111") == 2
    assert ranges("bin", ("41111100-41111149", 4), ("41111151-41111199", 2)).expiry_ms("411111") == -1


@pytest.mark.parametrize(
    ("of", "text", "problem"),
    [
        ("ip", "10.0.0.1/8", "host bits"),
        ("ip", "10.0.0.0/40", "IPv4 or IPv6"),
        ("bin", "411111-4111", "equally many digits"),
        ("bin", "411199-411111", "ends before it begins"),
        ("bin", "41111x-411199", "equally many digits"),
    ],
)
def test_what_looks_like_a_range_and_is_none_is_refused(of: str, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        range_of(of, text)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20), st.integers(1, 5)), max_size=12),
    st.integers(0, 90),
)
def test_joined_ranges_say_the_same_as_all_of_them(entries: list[tuple[int, int, int]], number: int) -> None:
    spans = [((first, first + length), expires_ms) for first, length, expires_ms in entries]
    found = Ranges.joined("ip", spans).expiry_ms(f"0.0.0.{number}")
    holding = [expires_ms for (first, last), expires_ms in spans if first <= number <= last]
    assert found == max(holding, default=-1)
