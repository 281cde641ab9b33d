"""No value kills the process: orjson crashes if Python code raises while it encodes natively.

Each case runs in its own process, because a crash would end the tests.
"""

import subprocess
import sys

import pytest

HEAD = """
import dataclasses, datetime as dt, decimal, enum, signal, time, uuid
import orjson
from dataart_mp import EventError
from dataart_mp.testing import RecordingClient

client = RecordingClient()
MOMENT = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)

def refused(metadata, **more):
    event = {"key": "k", "user_key": "u", "timestamp": MOMENT, "metadata": metadata, **more}
    for emit in (
        lambda: client.emit_action(**event),
        lambda: client.emit_actions([event]),
        lambda: client.identify("u", metadata) if not more else client.emit_action(**event),
    ):
        try:
            emit()
        except EventError as error:
            assert isinstance(error.__cause__ or error, Exception)
        else:
            raise AssertionError("was accepted")

def raising(*arguments):
    raise LookupError("not today")

class Zone(dt.tzinfo):
    utcoffset = dst = tzname = raising
"""

REFUSED = {
    "a dataclass with slots, of which one is not set": """
@dataclasses.dataclass(slots=True)
class Order:
    number: int
    total: float = dataclasses.field(init=False)
value = Order(1)
""",
    "a property of a dataclass": """
@dataclasses.dataclass
class Order:
    number: int
Order.number = property(raising, lambda self, value: None)
value = Order(1)
""",
    "the __dict__ of a dataclass": """
@dataclasses.dataclass
class Order:
    number: int
    __dict__ = property(raising)
value = Order.__new__(Order)
""",
    "a time zone": "value = dt.datetime(2024, 5, 1, tzinfo=Zone())",
    "a time zone that returns no offset": """
class Odd(Zone):
    def utcoffset(self, moment):
        return "+02:00"
value = dt.datetime(2024, 5, 1, tzinfo=Odd())
""",
    "a time zone with a method of pytz": """
class Pytz(dt.tzinfo):
    def utcoffset(self, moment):
        raise LookupError
    def normalize(self, moment):
        raise LookupError
value = dt.datetime(2024, 5, 1, tzinfo=Pytz())
""",
    "the value of an enum": """
class Color(enum.Enum):
    RED = 1
    value = property(raising)
value = Color.RED
""",
    "the value of an enum that is a text": """
class Color(str, enum.Enum):
    RED = "red"
    value = property(raising)
value = Color.RED
""",
    "a UUID without a number": "value = uuid.UUID.__new__(uuid.UUID)",
    "a UUID with text as its number": """
value = uuid.UUID.__new__(uuid.UUID)
object.__setattr__(value, "int", "no number")
""",
    "the text of a subclass of UUID": """
class Id(uuid.UUID):
    __str__ = raising
value = Id(int=1)
""",
    "an int with its own conversion": """
class Number(int):
    __int__ = raising
value = Number(1)
""",
    "an array interface": """
class Array:
    __array_struct__ = __array_interface__ = dtype = property(raising)
    tolist = raising
value = Array()
""",
    "the class of a proxy": """
class Unbound:
    __class__ = property(raising)
value = Unbound()
""",
    "a cycle through tuples": """
inner = [1]
inner.append((inner,))
value = [inner]
""",
    "a long chain of tuples": """
value = ()
for _ in range(100_000):
    value = (value,)
""",
}


def run(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"


@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED)
def test_a_value_that_raises_is_refused(code: str) -> None:
    run(code + "\nfor metadata in ({'v': value}, {'deep': [{'v': value}]}): refused(metadata)")


@pytest.mark.parametrize("zone", ["a time zone", "a time zone with a method of pytz"])
def test_a_timestamp_whose_zone_raises_is_refused(zone: str) -> None:
    run(REFUSED[zone] + "\nrefused({}, timestamp=value)")


def test_a_time_zone_that_raises_only_at_the_second_call_is_asked_once() -> None:
    run("""
class Flaky(dt.tzinfo):
    calls = 0
    def utcoffset(self, moment):
        Flaky.calls += 1
        if Flaky.calls > 1:
            raise LookupError
        return dt.timedelta(hours=2)
client.emit_action("k", "u", timestamp=dt.datetime(2024, 5, 1, tzinfo=Flaky()))
assert client.actions[0].timestamp.isoformat() == "2024-05-01T00:00:00+02:00"
""")


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ("dt.datetime(2024, 5, 1, tzinfo=Slow())", "return dt.timedelta(0)"),
        ("Color.RED", "return 1"),
    ],
    ids=["time zone", "enum"],
)
def test_the_exception_of_a_signal_handler_is_raised_whatever_is_encoded(
    value: str, body: str
) -> None:
    run(f"""
class Alarm(BaseException):
    pass
def on_alarm(number, frame):
    raise Alarm
signal.signal(signal.SIGALRM, on_alarm)
class Slow(dt.tzinfo):
    def utcoffset(self, moment):
        time.sleep(5)
        {body}
class Color(enum.Enum):
    RED = 1
    @property
    def value(self):
        time.sleep(5)
        {body}
value = {value}
events = [{{"metadata": {{"v": value}}}}, {{"metadata": {{"v": [value]}}}}]
if value is not Color.RED:
    events.append({{"timestamp": value}})
for more in events:
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        client.emit_action("k", "u", **more)
    except Alarm:
        continue
    raise AssertionError("no alarm")
""")


def test_signals_that_raise_at_any_moment_never_crash_the_process() -> None:
    run("""
class Alarm(Exception):
    pass
def on_alarm(number, frame):
    raise Alarm
class Color(enum.Enum):
    RED = 1
metadata = {"v": [Color.RED, uuid.UUID(int=1), MOMENT], "d": decimal.Decimal(1)}
alarms = 0
for _ in range(300):
    try:
        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
        while True:
            client.emit_action("k", "u", metadata=metadata)
    except (Alarm, EventError):
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        alarms += 1
    client.clear()
assert alarms == 300
""")


@pytest.mark.parametrize("container", ["list", "dict"])
def test_a_value_may_change_the_container_in_which_it_is(container: str) -> None:
    run(f"""
part = [] if {container!r} == "list" else {{}}
class Changing:
    def model_dump(self, mode):
        part.clear()
        return {{"n": "x" * 1000}}
if {container!r} == "list":
    part += [Changing(), *(str(number) * 20 for number in range(1000))]
else:
    part.update({{"0": Changing(), **{{f"n{{n}}": str(n) * 20 for n in range(1000)}}}})
client.emit_action("k", "u", metadata={{"v": part}})
found = client.actions[0].metadata["v"]
assert len(found) == 1001
""")


def test_another_thread_may_change_a_container_while_a_value_is_converted() -> None:
    run("""
import threading
part = [str(number) * 20 for number in range(1000)]
class Waiting:
    def model_dump(self, mode):
        time.sleep(0.2)
        return {}
part.insert(0, Waiting())
threading.Timer(0.1, part.clear).start()
client.emit_action("k", "u", metadata={"v": part})
assert len(client.actions[0].metadata["v"]) == 1001
""")


def test_an_action_of_a_group_that_cannot_be_read_is_refused_alone() -> None:
    run("""
from dataart_mp import ActionsError
class Unbound:
    __class__ = property(raising)
try:
    client.emit_actions([{"key": "k", "user_key": "u"}, Unbound(), {"key": "k", "user_key": "u"}])
except ActionsError as error:
    assert [each.path for each in error.errors] == ["actions[1]"], error
    assert error.accepted == len(client.actions) == 2
else:
    raise AssertionError("was accepted")
""")
