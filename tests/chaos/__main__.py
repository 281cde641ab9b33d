"""`scripts/chaos`: one run from the command line."""

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.driver import Driver
from tests.chaos.plan import Plan


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Emit events from many processes, kill, stop and restart them, their workers "
        "and the sink at random moments, and then audit every event.",
    )
    add = parser.add_argument
    add("--seconds", type=float, default=60.0, help="duration of the attacks (%(default)s)")
    add("--seed", type=int, help="seed of the plan; the same seed repeats it (random)")
    add("--applications", type=int, default=2, help="applications at a time (%(default)s)")
    add("--producers", type=int, default=4, help="forks per application, roughly (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="also write the summary to this file")
    add("--keep", action="store_true", help="keep the folder of a run that has passed")
    return parser


def main() -> int:
    """Run the harness once.

    Returns:
        The exit code: 0 if the run has passed, else 1.
    """
    options = _parser().parse_args()
    seed = random.getrandbits(32) if options.seed is None else options.seed
    plan = Plan(seed, options.seconds, options.applications, options.producers)
    folder = Path(tempfile.mkdtemp(prefix="dataart_mp-chaos-"))
    print(f"seed {seed}, folder {folder}", flush=True)
    summary = Driver(plan, folder).run()
    text = json.dumps(summary.as_json(), indent=2)
    if options.json is not None:
        options.json.write_text(text + "\n")
    print(text)
    print(summary, flush=True)
    if summary.passed and not options.keep:
        shutil.rmtree(folder)
    return 0 if summary.passed else 1


if __name__ == "__main__":
    sys.exit(main())
