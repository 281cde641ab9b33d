"""`dataart-mp spool`: inspects and resends dead letters while clients run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dataart_mp import Client, ClientConfig
from dataart_mp.devsink import SinkProcess
from tests.cli.terminal import run

Configure = Callable[..., ClientConfig]


@pytest.fixture
def spool_dir(config: Configure, sink: SinkProcess, tmp_path: Path) -> Path:
    """The spool of a client with three rejected events in two requests."""
    folder = tmp_path / "spool"
    sink.set_faults({"kind": "refuse", "match": {"metadata": {"_id": 1}}, "status": 422})
    settings = {"spool_dir": folder, "max_request_bytes": 4106, "flush_buffer_size": 8}
    with Client(config(**settings, flush_num_retries=0)) as client:
        for number in range(4):
            client.emit_action("play", "ann", metadata={"_id": number})
        assert client.flush(20) == 0
        sink.set_faults({"kind": "status", "status": 410})
        client.emit_action("play", "bob", metadata={"_id": 4})
        client.emit_action("play", "bob", metadata={"_id": 5})
        assert client.flush(20) == 0
        stats = client.stats()
        assert (stats.delivered, stats.rejected, stats.failed) == (3, 3, 0)
        assert stats.balanced
    sink.clear_faults()
    return folder


def listed(spool_dir: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(run("spool", "ls", "--json", spool_dir).stdout)[
        "letters"
    ]
    return rows


def test_rejected_events_are_listed_with_their_reason(spool_dir: Path) -> None:
    rows = listed(spool_dir)
    reasons = [(row["events"], row["reason"], row["status"]) for row in rows]
    assert reasons == [(1, "rejected", 422), (2, "rejected", 410)]
    text = run("spool", "ls", spool_dir).stdout.splitlines()
    assert text[0].split() == ["TIME", "(UTC)", "EVENTS", "KIND", "STATUS", "REASON"]
    assert text[1].split()[2:] == ["1", "action", "422", "rejected"]
    assert text[2].strip() == rows[0]["name"]
    assert text[3].strip() == rows[0]["answer"] != ""
    assert text[-1] == "3 events in 2 requests."
    assert max(map(len, text)) <= 80


def test_a_long_response_is_cut_to_80_columns(spool_dir: Path) -> None:
    (first, *_) = listed(spool_dir)
    letter = spool_dir / "dead" / f"{first['name']}.jsonl"
    content = json.loads(letter.read_text())
    letter.write_text(json.dumps({**content, "answer": "no\n" * 500}) + "\n")
    text = run("spool", "ls", spool_dir).stdout.splitlines()
    (response,) = (line for line in text if line.startswith("  no\\nno\\n"))
    assert response.endswith("…")
    assert max(map(len, text)) == len(response) == 80


def test_what_is_pending_in_buffers_is_counted(
    config: Configure, sink: SinkProcess, tmp_path: Path
) -> None:
    folder = tmp_path / "pending"
    sink.set_faults({"kind": "latency", "seconds": 1.0})
    with Client(config(spool_dir=folder, max_request_bytes=4106, flush_buffer_size=8)) as client:
        client.emit_action("play", "ann")
        client.emit_action("play", "bob")
        pending = json.loads(run("spool", "ls", "--json", folder).stdout)["pending"]
        assert pending == {"events": 2, "clients": 1, "ended": 0}
        text = run("spool", "ls", folder).stdout.splitlines()
        assert text == ["No dead letters.", "Pending: 2 events of 1 client."]


def test_parked_events_are_counted(config: Configure, sink: SinkProcess, tmp_path: Path) -> None:
    folder = tmp_path / "outage"
    sink.set_faults({"kind": "status", "status": 503})
    settings = {"spool_dir": folder, "max_request_bytes": 4106, "flush_buffer_size": 8}
    with Client(config(**settings, flush_num_retries=0, flush_backoff_ratio=5.0)) as client:
        client.emit_action("play", "ann")
        client.identify("ann")
        assert client.flush(20) == 0
        parked = json.loads(run("spool", "ls", "--json", folder).stdout)["parked"]
        assert (parked["events"], parked["requests"]) == (2, 2)
        text = run("spool", "ls", folder).stdout.splitlines()
        assert text[0] == "No dead letters."
        assert text[1].startswith(f"Parked since {parked['since']}: 2 events in 2 requests")
        sink.clear_faults()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "parked.db").write_bytes(b"x" * 5000)
    done = run("spool", "ls", broken)
    assert done.returncode == 1
    assert "parked batches cannot be read: file is not a database" in done.stderr


def test_dead_letters_are_shown_as_json_lines(spool_dir: Path) -> None:
    shown = [json.loads(line) for line in run("spool", "show", spool_dir).stdout.splitlines()]
    assert [letter["event"]["metadata"]["_id"] for letter in shown] == [1, 4, 5]
    (name,) = (str(row["name"]) for row in listed(spool_dir) if row["events"] == 1)
    (letter,) = run("spool", "show", spool_dir, name).stdout.splitlines()
    assert json.loads(letter)["event"]["metadata"] == {"_id": 1}


def test_replayed_events_arrive_unchanged_and_are_removed(
    spool_dir: Path, sink: SinkProcess, env: dict[str, str]
) -> None:
    timestamps = {
        letter["event"]["metadata"]["_id"]: letter["event"]["timestamp"]
        for letter in map(json.loads, run("spool", "show", spool_dir).stdout.splitlines())
    }
    # Settings for new events do not apply: these have passed them.
    env |= {"DATAART_SAMPLE_RATE": "0", "DATAART_DEFAULT_METADATA": '{"new": 1}'}
    done = run("spool", "replay", spool_dir, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Delivered 3 events; 0 left.\n"
    assert not any("new" in event["metadata"] for event in sink.events())
    assert sink.ids() == dict.fromkeys(range(6), 1)
    arrived = {event["metadata"]["_id"]: event["timestamp"] for event in sink.events()}
    assert timestamps.items() <= arrived.items()
    assert listed(spool_dir) == []


def test_events_that_are_rejected_again_stay(
    spool_dir: Path, sink: SinkProcess, env: dict[str, str]
) -> None:
    sink.set_faults({"kind": "refuse", "match": {"metadata": {"_id": 1}}, "status": 422})
    done = run("spool", "replay", spool_dir, env=env | {"DATAART_SPOOL_DIR": str(spool_dir)})
    assert done.returncode == 1
    assert "Delivered 2 events; 1 left." in done.stdout
    assert [row["status"] for row in listed(spool_dir)] == [422]


def test_edited_letters_that_are_invalid_are_reported_and_kept(
    spool_dir: Path, sink: SinkProcess, env: dict[str, str]
) -> None:
    broken = spool_dir / "dead" / f"{listed(spool_dir)[0]['name']}.jsonl"
    broken.write_text('{"event": {"key": ""}}\n')
    done = run("spool", "replay", spool_dir, env=env)
    assert done.returncode == 1
    assert done.stderr == f"{broken.stem}: user_key: is missing\n"
    assert broken.exists()
    assert sink.ids().keys() == {0, 2, 3, 4, 5}


def letters_of(*events: dict[str, object]) -> str:
    """Return the content of a file of dead letters."""
    return "".join(json.dumps({"event": event}) + "\n" for event in events)


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    """The directory of dead letters of a spool in `tmp_path`."""
    folder = tmp_path / "dead"
    folder.mkdir()
    return folder


def action(number: int, key: str = "play") -> dict[str, object]:
    return {"key": key, "user_key": "ann", "metadata": {"_id": number}}


@pytest.mark.parametrize("bad", [action(2, key=""), {**action(2), "metadata": {"x": "y" * 5000}}])
def test_a_bad_event_holds_back_only_its_batch_and_no_event_is_sent_twice(
    dead: Path, sink: SinkProcess, env: dict[str, str], bad: dict[str, object]
) -> None:
    (dead / "a.jsonl").write_text(letters_of(action(1), bad))
    (dead / "b.jsonl").write_text(letters_of(action(3)))
    small = env | {"DATAART_MAX_REQUEST_BYTES": "4106"}

    first = run("spool", "replay", dead.parent, env=small)
    again = run("spool", "replay", dead.parent, env=small)

    assert (first.returncode, again.returncode) == (1, 1)
    assert first.stdout == "Delivered 1 event; 2 left.\n"
    assert again.stdout == "Delivered 0 events; 2 left.\n"
    assert first.stderr.startswith("a: ")
    assert [file.name for file in dead.iterdir()] == ["a.jsonl"]
    assert sink.ids() == {3: 1}


TRUNCATED = '{"time": "2021-05-04T10:1'


@pytest.mark.parametrize("text", [TRUNCATED, "[1]\n", "{}\n", "[" * 100_000, "\xff\n"])
def test_damaged_letters_are_reported_and_the_others_shown(dead: Path, text: str) -> None:
    damaged = dead / "a.jsonl"
    damaged.write_text(text, encoding="latin-1")
    (dead / "b.jsonl").write_text(letters_of(action(1)))

    listing = run("spool", "ls", dead.parent)
    shown = run("spool", "show", dead.parent)

    assert listing.returncode == 0
    assert f"a  damaged: {damaged}: line 1 " in listing.stdout
    assert listing.stdout.endswith("2 events in 2 requests.\n")
    damage = {row["name"]: row["damaged"] for row in listed(dead.parent)}
    assert str(damage["a"]).endswith(": dataart-mp spool purge DIR a")
    assert damage["b"] is None
    assert shown.returncode == 3
    assert json.loads(shown.stdout)["event"] == action(1)
    assert shown.stderr == f"dataart-mp: {damage['a']}\n"


@pytest.mark.parametrize("which", ["a", "--all"])
def test_damaged_letters_can_be_purged(dead: Path, which: str) -> None:
    (dead / "a.jsonl").write_text(letters_of(action(1)) + TRUNCATED)

    assert run("spool", "purge", dead.parent, which).stdout == "Removed 2 events.\n"
    assert list(dead.iterdir()) == []


def test_a_replay_reports_and_keeps_damaged_letters_and_sends_the_others(
    dead: Path, sink: SinkProcess, env: dict[str, str]
) -> None:
    (dead / "a.jsonl").write_text(letters_of(action(1)) + TRUNCATED)
    (dead / "b.jsonl").write_text(letters_of(action(3)))

    done = run("spool", "replay", dead.parent, env=env)

    assert done.returncode == 1
    assert done.stdout == "Delivered 1 event; 2 left.\n"
    assert done.stderr.startswith(f"{dead / 'a.jsonl'}: line 2 is not JSON: ")
    assert [file.name for file in dead.iterdir()] == ["a.jsonl"]
    assert sink.ids() == {3: 1}


def test_purge_requires_names_or_all(spool_dir: Path) -> None:
    assert run("spool", "purge", spool_dir).returncode == 2
    name = str(listed(spool_dir)[0]["name"])
    assert run("spool", "purge", spool_dir, name).stdout == "Removed 1 event.\n"
    again = run("spool", "purge", spool_dir, name)
    assert again.returncode == 2
    assert f"no dead letters named {name}" in again.stderr
    assert run("spool", "purge", spool_dir, "--all").stdout == "Removed 2 events.\n"
    assert listed(spool_dir) == []
