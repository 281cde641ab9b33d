"""A program: it emits in C, dies at each step, and audits what is left. See `test_deaths`.

python -m tests.native.dying LIBRARY TEAR
"""

import ctypes
import importlib.util
import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.native.emitting import Emitter
    from tests.queue.tools import SharedCounts

BULK = range(8, 15)
LAST = 15


def use(library: Path) -> ctypes.CDLL:
    """Let this process use another library as the hot path; before the package is imported."""
    spec = importlib.util.spec_from_file_location("dataart_mp._hot_path", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[spec.name] = module
    return ctypes.CDLL(str(library))


def emit_all(emitter: "Emitter", returned: "SharedCounts") -> None:
    """Fill frames by count and by size, one by one and in bulk."""
    from tests.native.emitting import numbered

    for number, width in enumerate([0, 0, 0, 0, 300, 300, 0, 0]):
        emitter.emit_numbered(number, width)
        returned.add(number)
    assert emitter.emit_bulk([numbered(number) for number in BULK]) == len(BULK)
    for number in BULK:
        returned.add(number)
    emitter.emit_numbered(LAST)
    returned.add(LAST)
    assert emitter.in_python == 1, "only the first action, which opens the first frame"


def main(library: Path, tear: int) -> None:
    """Kill a child at each step, and audit the queue after each."""
    functions = use(library)
    from tests.native.emitting import Emitter
    from tests.queue.tools import KILLED, SharedCounts, audit, in_a_child, queue_of

    returned = SharedCounts()
    for steps in itertools.count():
        with queue_of(8, 512, records=3) as queue:

            def child(steps: int = steps, emitter: Emitter = Emitter(queue)) -> None:  # noqa: B008
                ctypes.c_int.in_dll(functions, "tear").value = tear
                ctypes.c_int.in_dll(functions, "steps_left").value = steps
                emit_all(emitter, returned)

            ended = in_a_child(child)
            assert ended in (KILLED, os.EX_OK), f"at step {steps}"
            accepted = queue.stats().accepted
            numbers = sorted(audit(queue))
            promised = returned.numbers()
            assert numbers == list(range(accepted)), f"at step {steps}"
            assert promised <= set(numbers), f"at step {steps}"
            # Of one call in bulk, any number may be accepted before it returns.
            most = LAST if promised == set(range(BULK.start)) else len(promised) + 1
            assert len(numbers) <= most, f"at step {steps}"
            returned.clear()
        if ended == os.EX_OK:
            assert steps > (10 if tear else 100)
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
