"""The check of the project's text finds what the vocabulary replaces, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from .__main__ import main
from .docstring import misstyled_entries
from .rule import Rule
from .text import Text, texts
from .vocabulary import Vocabulary

RULES = Vocabulary.load().rules

Check = Callable[[str, str], tuple[int, list[str]]]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """Writes a file of a project, checks the project and returns the exit code and the lines."""

    def run(name: str, content: str) -> tuple[int, list[str]]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        code = main(["--root", str(tmp_path)])
        return code, capsys.readouterr().out.splitlines()

    return run


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_finds_its_own_examples(rule: Rule) -> None:
    for example in rule.examples:
        for kind in rule.kinds:
            assert list(rule.breaches(Text.from_blocks(kind, [(1, example)]))), example


def test_a_bad_file_fails_with_place_word_and_remedy(check: Check) -> None:
    assert check("dataart_mp/queue/wakeup.py", "number = 1\n# Ring the bell.\n") == (
        1,
        [
            "dataart_mp/queue/wakeup.py:2: 'bell': write instead: wakeup pipe",
            "dataart_mp/queue/wakeup.py:2: 'Ring': write instead: notify, notification",
        ],
    )


def test_a_good_file_passes(check: Check) -> None:
    good = '"""Wakeup pipes."""\n\nwakeup = make()  # a string, a label and a spring\n'
    assert check("dataart_mp/queue/wakeup.py", good) == (0, [])


def test_the_counts_are_by_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text("Bells and bells. A custom bell of its own.\n")
    assert main(["--root", str(tmp_path), "--count"]) == 1
    assert capsys.readouterr().out == "     3  bell\n     1  a connection of its own\n"


def test_only_named_files_and_directories_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "good.md").write_text("Wakeup pipes.\n")
    (tmp_path / "README.md").write_text("Bells.\n")
    assert main(["--root", str(tmp_path), str(tmp_path / "docs")]) == 0
    assert main(["--root", str(tmp_path), str(tmp_path / "README.md")]) == 1
    assert capsys.readouterr().out == "README.md:1: 'Bells': write instead: wakeup pipe\n"


@pytest.mark.parametrize(
    "content",
    [
        "bell = 1",
        "BELL = 1",
        "self._bell.close()",
        "bells_of_all = 1",
        "class BellRope: pass",
        "class RopeOfBell: pass",
        '"the bell"',
        'f"the {bell}"',
        "'''the\n\nbell'''",
        "x = 1  # the bell",
        "def test_a_bell_wakes_a_worker(): pass",
    ],
)
def test_a_word_is_found_in_names_comments_and_strings(check: Check, content: str) -> None:
    code, lines = check("tests/test_it.py", content + "\n")
    assert code == 1
    assert all("write instead: wakeup pipe" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("README.md", "The `bell`.\n"),
        ("docs/design.md", "```python\nbell = 1\n```\n"),
        ("dataart_mp/devsink/page/feed.js", "// the bell\n"),
        ("dataart_mp/devsink/page/feed.js", "const bell = 1\n"),
        ("dataart_mp/devsink/page/index.html", "<p>\nThe bell\n</p>\n"),
        ("dataart_mp/devsink/page/style/list.css", ".bell { color: red }\n"),
        ("scripts/test", "#!/usr/bin/env bash\necho 'the bell'\n"),
        ("pyproject.toml", "# the bell\n"),
        ("tests/bell.txt", "text\n"),
    ],
)
def test_all_text_files_of_the_project_are_checked(check: Check, name: str, content: str) -> None:
    assert check(name, content)[0] == 1


@pytest.mark.parametrize("name", ["tests/data/bell.txt", ".git/bell", "elsewhere/bell.py"])
def test_other_files_are_not_checked(check: Check, name: str) -> None:
    assert check(name, "the bell\n") == (0, [])


def test_a_binary_file_is_not_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "picture.png").write_bytes(b"\x89PNG\0bell")
    assert main(["--root", str(tmp_path)]) == 0


def test_a_phrase_is_found_across_a_line_end_on_the_line_where_it_begins(check: Check) -> None:
    comment = "x = 1\n\n# Then the worker goes\n# on as before.\n"
    docstring = '"""First.\n\nThen the worker goes\non as before.\n"""\n'
    string = 'x = (\n    "First. "\n    "Then the worker goes "\n    "on as before."\n)\n'
    for content in (comment, docstring):
        assert check("bench/it.py", content) == (
            1,
            ["bench/it.py:3: 'goes on': write instead: continue, continues"],
        )
    assert check("docs/it.md", "First.\n\nIt goes\non.\n")[0] == 1
    assert check("bench/it.py", string)[0] == 1


def test_a_phrase_is_not_made_of_the_ends_of_two_paragraphs(check: Check) -> None:
    assert check("docs/it.md", "So it goes\n\non Linux.\n") == (0, [])
    assert check("bench/it.py", "it.goes\non = 1\n") == (0, [])


def test_a_rule_for_code_allows_the_word_in_prose_and_in_the_names_of_tests(check: Check) -> None:
    assert check("bench/it.py", "# Workers leave a trace.\n") == (0, [])
    assert check("tests/it.py", "def test_workers_leave_a_trace(): pass\n") == (0, [])
    assert check("bench/it.py", "work.leave()\n")[0] == 1


@pytest.mark.parametrize(
    "content",
    [
        "There is no way back, and it is no longer there, and is no more than 3.",
        "The delay doubles with each attempt.",
        "Values tend to grow.",
        "What is done with a frame.",
    ],
)
def test_legitimate_uses_are_allowed(check: Check, content: str) -> None:
    assert check("README.md", content + "\n") == (0, [])


def test_an_allowed_use_does_not_hide_another_one(check: Check) -> None:
    code, lines = check("README.md", "The delay doubles. The sink counts doubles.\n")
    assert (code, len(lines)) == (1, 1)


def test_code_and_prose_are_told_apart_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "it.py").write_text('"""One\ntwo."""\n\nx = f("three")  # four\n')
    code, prose = texts(tmp_path, Path("it.py"))
    assert code.content == "it.py\nx = f(       )\n"
    assert prose.content == '"""One two."""\n"three"\nfour\n'
    assert [prose.line_at(prose.content.index(word)) for word in ("One", "two", "four")] == [
        1,
        2,
        4,
    ]


def test_a_vocabulary_with_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.toml"
    path.write_text('[[avoid]]\nwords = ["x"]\nwrite = "y"\nexcpet = []\n')
    with pytest.raises(ValueError, match="unknown keys: excpet"):
        Vocabulary.load(path)


GOOD_DOCSTRING = '''
def post(url, body=None, **options):
    """Post a body.

    Args:
        url: Where to post.
        body: The body. It may be long, and then its
            description continues here.
        **options: `timeout` and others.

            A second paragraph.

    Returns:
        True if it was posted; otherwise
        false.

    Raises:
        ValueError: The URL is invalid (see above.)

    Some more text
    """
'''


def test_good_entries_of_docstrings_pass(check: Check) -> None:
    assert list(misstyled_entries(GOOD_DOCSTRING)) == []
    assert check("bench/it.py", GOOD_DOCSTRING) == (0, [])


@pytest.mark.parametrize(
    ("good", "bad", "line"),
    [
        ("url: Where to post.", "url: where to post.", 6),
        ("url: Where to post.", "url: Where to post", 6),
        ("description continues here.", "description continues here", 8),
        ("`timeout` and others.", "timeout and others.", 9),
        ("True if", "true if", 14),
        ("false.", "false", 15),
        ("The URL is", "the URL is", 18),
    ],
)
def test_a_bad_entry_of_a_docstring_fails(check: Check, good: str, bad: str, line: int) -> None:
    code, lines = check("bench/it.py", GOOD_DOCSTRING.replace(good, bad))
    assert (code, len(lines)) == (1, 1)
    assert lines[0].startswith(f"bench/it.py:{line}: ")


def test_attributes_of_a_class_are_checked_too(check: Check) -> None:
    source = 'class A:\n    """An a.\n\n    Attributes:\n        b: the b\n    """\n'
    assert check("bench/it.py", source)[1] == [
        "bench/it.py:5: begin the entry with a capital letter: 'the b'",
        "bench/it.py:5: end the entry with a full stop: 'the b'",
    ]
