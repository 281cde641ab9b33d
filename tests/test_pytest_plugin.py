"""The plugin for pytest: its fixtures in the test run of an application."""

import importlib.metadata
import subprocess
import sys
import textwrap

import pytest

pytest_plugins = ["pytester"]

APPLICATION = """
def sign_up(client, name):
    client.identify(name, {"plan": "free"})
    client.emit_action("signed-up", name, metadata={"plan": "free", "referrer": None})
"""


# The plugins of this environment take most of the time of a run.
ALONE = ["-p", "no:schemathesis", "-p", "no:hypothesispytest"]


@pytest.fixture
def run(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with an application; `runpytest` tests it as its developer would."""
    pytester.makepyfile(application=APPLICATION)
    return pytester


def test_pytest_finds_the_plugin_by_its_entry_point() -> None:
    (entry,) = importlib.metadata.entry_points(group="pytest11", name="dataart_mp")
    assert entry.value == "dataart_mp.pytest_plugin"


def test_the_fixtures_are_listed_with_their_purpose(run: pytest.Pytester) -> None:
    shown = run.runpytest_subprocess("--fixtures", "-q", *ALONE).stdout.str()
    for line in (
        "dataart_client -- ",
        "    A client that records events, and refuses what the real client refuses.",
        "dataart_sink -- ",
        "assert_emitted -- ",
        "dataart_config -- ",
    ):
        assert line in shown
    assert "_dataart_sink_process" not in shown


def test_a_test_asserts_what_its_application_emits(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        from application import sign_up
        from dataart_mp import DataArtClient

        def test_one(dataart_client, assert_emitted):
            assert isinstance(dataart_client, DataArtClient)
            sign_up(dataart_client, "ann")
            contained = {"plan": "free"}
            action = assert_emitted("signed-up", user_key="ann", metadata__contains=contained)
            assert action["metadata"] == {"plan": "free", "referrer": None}
            dataart_client.assert_emitted("signed-up", times=1)
            dataart_client.assert_identified("ann")

        def test_each_test_begins_with_nothing(dataart_client, assert_emitted):
            assert_emitted("signed-up", times=0)
            assert dataart_client.identities == []
        """
    )
    run.runpytest(*ALONE).assert_outcomes(passed=2)


def test_a_failure_shows_the_line_of_the_test_and_what_is_different(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        from application import sign_up

        def test_one(dataart_client, assert_emitted):
            sign_up(dataart_client, "ann")
            assert_emitted("signed-up", user_key="ann", metadata__contains={"plan": "pro"})
        """
    )
    result = run.runpytest(*ALONE)
    result.assert_outcomes(failed=1)
    shown = result.stdout.str()
    assert ">       assert_emitted(" in shown
    assert "E       AssertionError: no action was emitted with key 'signed-up'" in shown
    assert "metadata.plan is 'free', expected 'pro'" in shown
    assert "expectation.py" not in shown.partition("short test summary")[0]


def test_wrong_usage_is_explained(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        from application import sign_up
        from dataart_mp.testing import RecordingClient

        def test_of_another_client(assert_emitted):
            sign_up(RecordingClient(), "ann")
            assert_emitted("signed-up")

        def test_of_a_mistyped_name(dataart_client, assert_emitted):
            assert_emitted("signed-up", metadata_contains={"plan": "free"})
        """
    )
    result = run.runpytest(*ALONE, "--tb=short")
    result.assert_outcomes(failed=2)
    shown = result.stdout.str()
    assert "E   this test uses neither dataart_client nor dataart_sink" in shown
    assert "assert_emitted() got an unexpected keyword argument 'metadata_contains'" in shown
    assert shown.partition("short test summary")[0].count("uses neither") == 1


def test_the_hooks_of_an_application_apply_in_its_tests(run: pytest.Pytester) -> None:
    run.makeconftest(
        """
        import pytest
        from dataart_mp import ClientConfig

        def scrub(event):
            event["metadata"].pop("referrer", None)
            return event

        @pytest.fixture
        def dataart_config():
            return ClientConfig("any", before_send=scrub, max_request_bytes=2048)
        """
    )
    run.makepyfile(
        """
        import pytest
        from application import sign_up
        from dataart_mp import EventError

        def test_one(dataart_client):
            sign_up(dataart_client, "ann")
            dataart_client.assert_emitted("signed-up", metadata={"plan": "free"})
            with pytest.raises(EventError, match="raise max_request_bytes"):
                dataart_client.emit_action("large", "ann", metadata={"text": "x" * 2048})
        """
    )
    run.runpytest(*ALONE).assert_outcomes(passed=1)


def test_real_requests_arrive_at_the_sink_of_the_fixture(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        import pytest
        from application import sign_up
        from dataart_mp import Client, ClientConfig

        @pytest.fixture
        def client(dataart_sink):
            with Client(ClientConfig("any", base_url=dataart_sink.url, flush_interval=0.2)) as it:
                yield it

        def test_it_waits_for_the_arrival(client, dataart_sink, assert_emitted):
            sign_up(client, "ann")
            assert_emitted("signed-up", user_key="ann", metadata={"plan": "free", "referrer": None})
            sign_up(client, "bob")
            assert_emitted("signed-up", times=2)

        def test_the_sink_has_received_nothing(client, dataart_sink, assert_emitted):
            assert dataart_sink.events() == dataart_sink.faults() == []
            dataart_sink.set_faults({"kind": "status", "status": 503, "times": 1})
            assert_emitted("signed-up", times=0)
        """
    )
    run.runpytest(*ALONE).assert_outcomes(passed=2)


def test_importing_the_package_imports_no_pytest_and_the_plugin_nothing_of_the_client() -> None:
    code = """
    import sys
    import dataart_mp, dataart_mp.testing, dataart_mp.context
    dataart_mp.Client
    assert not [name for name in sys.modules if "pytest" in name]
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)
    code = """
    import sys
    import pytest, dataart_mp.pytest_plugin
    print(*sorted(name for name in sys.modules if name.startswith("dataart_mp")))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    loaded = done.stdout.split()
    assert loaded == ["dataart_mp", "dataart_mp.pytest_plugin", "dataart_mp.version"]
