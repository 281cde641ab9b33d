"""Change the pure policies in every small way, and check that a unit test notices each change.

    python -m tests.mutation                      all policies
    python -m tests.mutation delivery/backoff …     some of them
    python -m tests.mutation --jobs 4             with four processes instead of one for each CPU

Fails if a mutant survives that survivors.toml does not list, if one that it lists is killed, or if
fewer than 95 % of the mutants are killed.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_item import TestOutcome

from tests.mutation import survivors
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.survivors import Survivor

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = Path("dataart_mp")
GOAL: Final = 0.95

# The policies, and pytest's arguments for the unit tests that must notice a change of each. Without
# the fixtures of all tests, pytest starts twice as fast.
TESTS: Final = {
    "health": "--noconftest tests/test_health.py",
    "producer/outage_log": "--noconftest tests/producer/test_outage_log.py",
    "ship/cut": "--noconftest tests/ship/test_cut.py",
    "ship/keys": "--noconftest tests/ship/test_cut.py",
    "table/column_map": "tests/table/test_column_map.py tests/cli/input/test_columns.py",
    "queue/account": "--noconftest tests/queue/test_account.py",
    "queue/accounting": "--noconftest tests/queue/test_accounting.py",
    "queue/reading": "--noconftest tests/queue/test_accounting.py",
    "supervision/restart": "--noconftest tests/supervision/test_restart.py",
    "delivery/backoff": "--noconftest tests/delivery/test_backoff.py",
    "worker/circuit": "--noconftest tests/worker/test_circuit.py",
    "worker/flow": "--noconftest tests/worker/test_flow.py",
    "delivery/limit": "--noconftest tests/delivery/test_limit.py",
    "delivery/pace": "--noconftest tests/delivery/test_pace.py",
    "delivery/verdict": "--noconftest tests/delivery/test_verdict.py",
}
_BASELINE_SECONDS: Final = 120.0
# A mutant that loops is killed by this: the time without a mutation, and that many times as much.
_TIMEOUT: Final = 10.0


def main() -> int:
    arguments = _parser().parse_args()
    modules = arguments.modules or sorted(TESTS)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # loading all plugins would double the time
    os.environ["CI"] = (
        "true"  # Hypothesis then draws the same examples each time, without a deadline
    )
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(ROOT)
        mutants = [
            mutant
            for number, module in enumerate(modules)
            for mutant in mutants_of(
                module, PACKAGE / f"{module}.py", Path(folder) / f"{number}.sqlite"
            )
        ]
        print(f"{len(mutants)} mutants of {len(modules)} modules", flush=True)
        with ProcessPoolExecutor(
            arguments.jobs, initializer=_copy_project, initargs=(folder,)
        ) as pool:
            limits = dict(zip(modules, pool.map(_time_limit, modules), strict=True))
            limits_of = [limits[mutant.module] for mutant in mutants]
            results = list(pool.map(_survivor, mutants, limits_of))
    found = [result for result in results if result is not None]
    print(f"finished in {time.monotonic() - start:.0f} s", flush=True)
    return _report(modules, mutants, found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/mutation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"one of {', '.join(TESTS)}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at once")
    return parser


# In a process of the pool


def _copy_project(folder: str) -> None:
    """Work in a copy of the project: the modules are changed in place."""
    copy = Path(tempfile.mkdtemp(dir=folder))
    for name in ("dataart_mp", "tests"):
        shutil.copytree(name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy("pyproject.toml", copy)
    os.chdir(copy)


def _command(module: str) -> str:
    options = "-q -x -p no:cacheprovider -p pytest_timeout"
    return f"{sys.executable} -m pytest {options} {TESTS[module]}"


def _time_limit(module: str) -> float:
    """Return how many seconds the tests of a module may take, after they passed once."""
    start = time.monotonic()
    outcome, output = run_tests(_command(module), _BASELINE_SECONDS)
    if outcome != TestOutcome.SURVIVED:
        raise SystemExit(f"the tests of {module} fail without any change:\n{output}")
    return _TIMEOUT + _TIMEOUT * (time.monotonic() - start)


def _survivor(mutant: Mutant, seconds: float) -> Survivor | None:
    """Return the mutant as a survivor; None if a test notices it."""
    result = mutate_and_test([mutant.mutation], _command(mutant.module), seconds)
    if result.test_outcome is None or result.diff is None:
        raise RuntimeError(f"{mutant}: {result.output}")
    if result.test_outcome != TestOutcome.SURVIVED:
        return None
    return Survivor.of(mutant.module, mutant.mutation.definition_name, result.diff)


# The report


def _report(modules: list[str], mutants: list[Mutant], found: list[Survivor]) -> int:
    for module in modules:
        count = sum(mutant.module == module for mutant in mutants)
        survived = sum(survivor.module == module for survivor in found)
        print(f"{module:24} {count - survived:4} of {count:4} killed")
    share = 1 - len(found) / len(mutants)
    print(f"{'all':24} {share:.1%} killed")
    listed = {survivor for survivor in survivors.known() if survivor.module in modules}
    comparison = survivors.compare(found, listed)
    for survivor in comparison.new:
        print(f"\nnot noticed by any test, and not listed:\n{survivor.as_toml()}")
    for survivor in comparison.gone:
        print(f"\nlisted, and noticed now; remove it from the list:\n{survivor.as_toml()}")
    if share < GOAL:
        print(f"\nfewer than {GOAL:.0%} of the mutants were killed")
    return int(bool(comparison.new or comparison.gone) or share < GOAL)


if __name__ == "__main__":
    sys.exit(main())
