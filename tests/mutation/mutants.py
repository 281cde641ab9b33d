"""Mutants: all single changes of a module that are worth a run of its tests."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cosmic_ray.commands.init import init
from cosmic_ray.work_db import WorkDB, use_db

# Cosmic Ray replaces each operator by ten others. The tests that notice one nearly always notice
# the others, so one or two are enough: the opposite, and for a comparison its neighbour.
_BINARY: Final = (
    "Add_Sub|Sub_Add|Mul_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Add|Pow_Mul|"
    "RShift_LShift|LShift_RShift|BitOr_BitAnd|BitAnd_BitOr|BitXor_BitAnd"
)
_COMPARISON: Final = (
    "Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt"
)
_WORTHWHILE: Final = re.compile(
    rf"core/(ReplaceBinaryOperator_({_BINARY})|ReplaceComparisonOperator_({_COMPARISON})|"
    r"ReplaceUnaryOperator_.*|AddNot|ReplaceTrueWithFalse|ReplaceFalseWithTrue|ReplaceAndWithOr|"
    r"ReplaceOrWithAnd|ReplaceBreakWithContinue|ReplaceContinueWithBreak|ExceptionReplacer|"
    r"NumberReplacer|RemoveDecorator|ZeroIterationForLoop)"
)


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes:
        module: The module, as a path in the package without its suffix.
        mutation: The change, as Cosmic Ray describes it.
    """

    module: str
    mutation: Any


def mutants_of(module: str, file: Path, database: Path) -> Iterator[Mutant]:
    """Yield the mutants of a module.

    Args:
        module: The module, as a path in the package without its suffix.
        file: The same as a file, relative to the root of the project.
        database: A file that Cosmic Ray may use.
    """
    annotations = list(_annotations(file.read_text()))
    with use_db(database, WorkDB.Mode.create) as work:
        init([file], work, {})
        for item in work.work_items:
            (mutation,) = item.mutations
            place = mutation.start_pos
            is_annotation = any(start <= place < end for start, end in annotations)
            if _WORTHWHILE.fullmatch(mutation.operator_name) and not is_annotation:
                yield Mutant(module, mutation)


Place = tuple[int, int]


def _annotations(source: str) -> Iterator[tuple[Place, Place]]:
    """Yield where type annotations begin and end: another type changes no behaviour."""
    for node in ast.walk(ast.parse(source)):
        for each in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if each is not None:
                yield (each.lineno, each.col_offset), (each.end_lineno, each.end_col_offset)
