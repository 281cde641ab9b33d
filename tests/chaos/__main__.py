"""`scripts/chaos`: one run from the command line."""

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.conductor import Conductor
from tests.chaos.plan import Plan


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Emit from many processes while they, the workers and the sink are killed, "
        "stopped and restarted at random moments; then audit event by event.",
    )
    add = parser.add_argument
    add("--seconds", type=float, default=60.0, help="how long strikes fall (%(default)s)")
    add("--seed", type=int, help="of all that is decided (random)")
    add("--applications", type=int, default=2, help="that live at once (%(default)s)")
    add("--producers", type=int, default=4, help="forked by each, about (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the summary here as well")
    add("--keep", action="store_true", help="keep the run's folder also when all went well")
    return parser


def main() -> int:
    """Do one run.

    Returns:
        The exit code: 0 when every promise was kept.
    """
    options = _parser().parse_args()
    seed = random.getrandbits(32) if options.seed is None else options.seed
    plan = Plan(seed, options.seconds, options.applications, options.producers)
    folder = Path(tempfile.mkdtemp(prefix="dataart_mp-chaos-"))
    print(f"seed {seed}, folder {folder}", flush=True)
    summary = Conductor(plan, folder).run()
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
