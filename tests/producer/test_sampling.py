"""A sample holds the same users in each process, and those of every smaller sample."""

import hashlib
import itertools
import subprocess
import sys

import pytest

from dataart_mp.producer.sampling import Sampling

USERS = [f"user-{number}" for number in range(10_000)]


def sample(rate: float, key: str = "a") -> set[str]:
    sampling = Sampling(rate)
    return {user for user in USERS if sampling.keeps(key, user)}


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_a_sample_has_about_the_size_that_the_rate_says(rate: float) -> None:
    expected = rate * len(USERS)
    assert abs(len(sample(rate)) - expected) < 4 * (expected * (1 - rate)) ** 0.5


def test_no_user_is_in_at_rate_0_and_every_user_at_rate_1() -> None:
    assert sample(0) == set()
    assert sample(1) == set(USERS)


def test_a_user_who_is_in_at_a_lower_rate_is_in_at_every_higher_rate() -> None:
    samples = [sample(percent / 100) for percent in range(0, 101, 5)]
    for smaller, larger in itertools.pairwise(samples):
        assert smaller < larger


def test_the_key_of_the_action_does_not_change_who_is_in() -> None:
    assert sample(0.3, "a") == sample(0.3, "b")


def test_the_documented_hash_decides() -> None:
    for user in USERS[:100]:
        part = int.from_bytes(hashlib.sha256(user.encode()).digest()[:8]) / 2**64
        assert Sampling(part + 1e-9).keeps("a", user)
        assert not Sampling(part - 1e-9).keeps("a", user)


def test_another_process_has_the_same_sample() -> None:
    code = (
        "from dataart_mp.producer.sampling import Sampling\n"
        "print(*(n for n in range(200) if Sampling(0.2).keeps('a', f'user-{n}')))"
    )
    command = [sys.executable, "-R", "-c", code]  # -R: texts have another hash() in each process
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert {f"user-{number}" for number in done.stdout.split()} == sample(0.2) & set(USERS[:200])


def test_a_mapping_concerns_the_keys_that_it_names() -> None:
    sampling = Sampling({"rare": 0.0, "often": 1.0})
    assert [sampling.keeps(key, "ann") for key in ("rare", "often", "other")] == [False, True, True]


@pytest.mark.parametrize(
    ("rate", "keeps_all"),
    [(1, True), ({}, True), ({"a": 1.0}, True), (0.999, False), ({"a": 1.0, "b": 0.5}, False)],
)
def test_a_rate_of_1_needs_no_sampling(rate: float | dict[str, float], keeps_all: bool) -> None:
    assert Sampling(rate).keeps_all is keeps_all


def test_a_user_key_with_a_lone_surrogate_has_a_place() -> None:
    digest = hashlib.sha256("\ud800".encode(errors="surrogatepass")).digest()
    part = int.from_bytes(digest[:8]) / 2**64
    assert Sampling(part + 1e-9).keeps("a", "\ud800")
    assert not Sampling(part - 1e-9).keeps("a", "\ud800")


def test_a_user_is_in_if_the_number_of_its_key_is_less_than_the_rate_exactly() -> None:
    numbers = {user: int.from_bytes(hashlib.sha256(user.encode()).digest()[:8]) for user in USERS}
    # So small that a rate as a float can be exactly this part of 2**64, and the next one.
    exact = {user: number for user, number in numbers.items() if number < 1 << 53}
    assert exact
    for user, number in exact.items():
        assert not Sampling(number / 2**64).keeps("any", user)
        assert Sampling((number + 1) / 2**64).keeps("any", user)
