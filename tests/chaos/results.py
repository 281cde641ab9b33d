"""The results of a run: the audit of all arrivals, written into the summary."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.chaos.attacker import Attacker
from tests.chaos.audit import Audit, Promise, lines
from tests.chaos.leaks import Leaks
from tests.chaos.observed_application import ObservedApplication
from tests.chaos.summary import Summary


def add_attacks(
    summary: Summary, attacker: Attacker, applications: Sequence[ObservedApplication]
) -> None:
    """Write into the summary what was attacked."""
    summary.applications = len(applications)
    summary.producers = sum(application.processes_seen for application in applications)
    summary.workers = sum(application.workers_seen for application in applications)
    summary.kills, summary.stops = dict(attacker.kills), dict(attacker.stops)
    summary.endings, summary.sink = dict(attacker.endings), dict(attacker.sink_events)
    accounts = [account for each in applications for account in each.accounts()]
    summary.machine = {
        **attacker.machine_events,
        "files of the client read": sum(account.files_read for account in accounts),
        "descriptors closed": sum(account.has_closed_descriptors for account in accounts),
    }


def add_audit(
    summary: Summary,
    run: str,
    applications: Sequence[ObservedApplication],
    attacker: Attacker,
    journals: Iterable[Path],
) -> None:
    """Compare what was emitted with what has arrived, and write the findings into the summary.

    Args:
        summary: The summary.
        run: The name of the run.
        applications: All applications of the run.
        attacker: Knows the incidents.
        journals: The journals of the sink, oldest first.
    """
    promises = _promises(summary, applications)
    audit = Audit(run, promises, attacker.incidents)
    for line in lines(journals):
        audit.take(line)
    findings = audit.findings()
    summary.requests = findings.requests
    summary.arrived = findings.arrived
    summary.identities = findings.identities
    summary.unconfirmed = findings.unconfirmed
    summary.repeated_requests = dict(findings.repeated_requests)
    summary.explained_duplicates = findings.explained_duplicates
    summary.unexplained_duplicates = findings.unexplained_duplicates
    summary.lost = findings.lost
    summary.problems += findings.problems
    for application in applications:
        arrived = audit.arrived_of(account.producer for account in application.accounts())
        if arrived != application.accepted:
            summary.problems.append(
                f"{application}: {application.accepted} events were accepted according to its "
                f"arena, {arrived} arrived according to the sink"
            )


def _promises(summary: Summary, applications: Sequence[ObservedApplication]) -> dict[int, Promise]:
    """Return what was promised to each producer, and count the emitted events."""
    promises: dict[int, Promise] = {}
    for application in applications:
        for account in application.accounts():
            promises[account.producer] = Promise(account.confirmed, *account.settled)
            in_call = account.busy_since is not None
            summary.accepted += account.confirmed
            summary.refused += account.refused
            summary.emitted += account.confirmed + account.refused + in_call
    return promises


def add_leaks(summary: Summary, leaks: Leaks) -> None:
    """Write into the summary what the run has left behind."""
    processes, files = leaks.processes(), leaks.files()
    summary.problems += [f"leaked: {each}" for each in [*processes, *files]]
    summary.leaks["processes"] = len(processes)
    summary.leaks["files"] = len(files)
    summary.leaks["descriptors"] = leaks.descriptors()
