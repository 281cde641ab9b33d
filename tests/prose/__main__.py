"""Check that the project's text follows its vocabulary: scripts/prose."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .docstring import misstyled_entries
from .text import texts
from .vocabulary import DEFAULT, Vocabulary


@dataclass(frozen=True)
class Finding:
    """A place where a file does not follow the rules.

    Attributes:
        path: The file, from the project's root.
        line: The number of the line.
        rule: The name of the rule.
        message: What is there, and what to write instead.
    """

    path: Path
    line: int
    rule: str
    message: str


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 if all is well, 1 if there are findings."""
    options = _parser().parse_args(arguments)
    root = options.root.resolve()
    vocabulary = Vocabulary.load(options.vocabulary)
    files = vocabulary.files(root, [path.resolve() for path in options.paths])
    findings = list(check(root, files, vocabulary))
    if options.count:
        for rule, count in Counter(finding.rule for finding in findings).most_common():
            print(f"{count:6}  {rule}")
    else:
        for finding in findings:
            print(f"{finding.path}:{finding.line}: {finding.message}")
    if findings:
        print(f"prose: {len(findings)} findings", file=sys.stderr)
    return bool(findings)


def check(root: Path, files: Iterable[Path], vocabulary: Vocabulary) -> Iterator[Finding]:
    """Find where files break the rules of a vocabulary or the style of docstrings.

    Args:
        root: The project's directory.
        files: The files, by their path from the root.
        vocabulary: The rules.

    Yields:
        Each finding, file by file.
    """
    for path in files:
        found = [*_avoided(root, path, vocabulary), *_misstyled(root, path)]
        yield from sorted(found, key=lambda finding: finding.line)


def _avoided(root: Path, path: Path, vocabulary: Vocabulary) -> Iterator[Finding]:
    rules = [rule for rule in vocabulary.rules if rule.applies_to(path)]
    for text in texts(root, path):
        for rule in rules:
            for match in rule.breaches(text):
                message = f"{match[0]!r}: write instead: {rule.write}"
                yield Finding(path, text.line_at(match.start()), rule.name, message)


def _misstyled(root: Path, path: Path) -> Iterator[Finding]:
    if path.suffix == ".py":
        for line, problem in misstyled_entries((root / path).read_text()):
            yield Finding(path, line, "docstring entry", problem)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/prose",
        description="Find words and phrases that the project's vocabulary replaces, and entries of"
        " docstrings that are not sentences.",
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        help="Files and directories to check. Default: all text of the project.",
    )
    parser.add_argument(
        "--count", action="store_true", help="Print how often each rule is broken, not where."
    )
    parser.add_argument(
        "--root", type=Path, default=Path.cwd(), help="The project's directory. Default: this one."
    )
    parser.add_argument(
        "--vocabulary", type=Path, default=DEFAULT, help="The rules. Default: %(default)s."
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
