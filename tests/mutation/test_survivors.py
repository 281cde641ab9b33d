"""A mutant that survives is listed with a reason, and found again when other lines change."""

from pathlib import Path

import pytest

from tests.mutation import survivors
from tests.mutation.survivors import Survivor, compare, known

DIFF = """--- mutation diff ---
--- a/dataart_mp/delivery/limit.py
+++ b/dataart_mp/delivery/limit.py
@@ -17,3 +17,3 @@
     def allows(self, size: int) -> bool:
-        return size < self._too_large
+        return size <= self._too_large
 """
SURVIVOR = Survivor(
    "delivery/limit",
    "allows",
    "return size < self._too_large",
    "return size <= self._too_large",
)


def test_a_survivor_is_named_by_its_lines_not_by_their_numbers() -> None:
    moved = DIFF.replace("-17,3 +17,3", "-99,3 +99,3")
    assert Survivor.of("delivery/limit", "allows", DIFF) == SURVIVOR
    assert Survivor.of("delivery/limit", "allows", moved) == SURVIVOR


def test_a_line_that_was_removed_has_nothing_after_it() -> None:
    diff = "@@ -1,2 +1,1 @@\n-\n-    @property\n     def x(self)"
    assert Survivor.of("m", None, diff) == Survivor("m", "", "@property", "")


def test_the_printed_entry_can_be_added_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "survivors.toml"
    quoted = Survivor("m", "f", "x = 'a'", 'x = "b"')
    entries = [
        each.as_toml().replace('reason = ""', 'reason = "why"') for each in (SURVIVOR, quoted)
    ]
    file.write_text("\n\n".join(entries))
    assert known(file) == {SURVIVOR, quoted}


def test_an_entry_without_a_reason_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "survivors.toml"
    file.write_text(SURVIVOR.as_toml())
    with pytest.raises(ValueError, match="no reason"):
        known(file)


def test_new_survivors_and_those_that_are_gone_are_found() -> None:
    other = Survivor("delivery/limit", "refused", "a", "b")
    assert compare([SURVIVOR, SURVIVOR], [SURVIVOR]) == survivors.Comparison([], [])
    assert compare([SURVIVOR], [other]) == survivors.Comparison([SURVIVOR], [other])


def test_every_entry_of_the_list_is_about_a_line_that_exists() -> None:
    package = Path(__file__).parents[2] / "dataart_mp"
    for survivor in known():
        lines = [
            line.strip() for line in (package / f"{survivor.module}.py").read_text().split("\n")
        ]
        assert survivor.before in lines, survivor
