"""Where contents are cut depends on the records alone, and keys on the contents alone."""

from itertools import accumulate, pairwise

import hypothesis.strategies as st
from hypothesis import given

from dataart_mp.ship.cut import Cut, Cutter, Records
from dataart_mp.ship.keys import Keys

LINES = st.lists(st.integers(min_value=1, max_value=12), max_size=60).map(
    lambda sizes: [b"%b\n" % (b"%x" % (number % 16) * size) for number, size in enumerate(sizes)]
)


def records_of(lines: list[bytes], row: int = 0) -> Records:
    return Records(b"".join(lines), [0, *accumulate(map(len, lines))], row)


def contents_of(
    pieces: list[list[bytes]], records: int, size: int
) -> tuple[list[bytes], list[tuple[int, int]]]:
    refused: list[tuple[int, int]] = []
    cutter = Cutter(records, size, lambda row, size: refused.append((row, size)))
    cuts: list[Cut] = []
    row = 0
    for piece in pieces:
        cuts += cutter.add(records_of(piece, row))
        row += len(piece)
    cuts += cutter.rest()
    for content, count in cuts:
        assert count == content.count(b"\n")
    return [content for content, _ in cuts], refused


@given(LINES, st.lists(st.integers(0, 60)), st.integers(1, 7), st.integers(3, 30))
def test_the_division_of_the_rows_changes_no_content(
    lines: list[bytes], places: list[int], records: int, size: int
) -> None:
    bounds = sorted({0, len(lines), *(place for place in places if place < len(lines))})
    pieces = [lines[start:end] for start, end in pairwise(bounds)]
    contents, refused = contents_of(pieces, records, size)
    assert (contents, refused) == contents_of([lines], records, size)
    sizes = enumerate(map(len, lines))
    too_large = [(number, found) for number, found in sizes if found > size]
    assert refused == too_large
    assert b"".join(contents) == b"".join(line for line in lines if len(line) <= size)
    for content in contents:
        assert 0 < content.count(b"\n") <= records
        assert len(content) <= size


@given(LINES, st.integers(1, 7), st.integers(14, 30))
def test_contents_are_as_full_as_the_limits_allow(
    lines: list[bytes], records: int, size: int
) -> None:
    contents, _ = contents_of([lines], records, size)
    for content, following in pairwise(contents):
        first = following.index(b"\n") + 1
        assert content.count(b"\n") == records or len(content) + first > size


def test_records_may_begin_anywhere_in_the_memory() -> None:
    cutter = Cutter(2, 100, lambda row, size: None)
    records = Records(memoryview(b"xxa\nb\nc\nyy"), memoryview(b"\2\4\6\10"), 5)
    assert [*cutter.add(records), *cutter.rest()] == [Cut(b"a\nb\n", 2), Cut(b"c\n", 1)]


@given(st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n"])), st.randoms())
def test_the_keys_of_a_part_do_not_depend_on_the_order_of_its_contents(
    contents: list[bytes], random: object
) -> None:
    def keys(contents: list[bytes]) -> dict[str, bytes]:
        keys = Keys("job", "3")
        return {keys.key_of(content): content for content in contents}

    shuffled = [*contents]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert keys(contents) == keys(shuffled)
    assert len(keys(contents)) == len(contents)


def test_a_key_says_whose_it_is_and_what_it_carries() -> None:
    keys = Keys("orders", "17-3")
    first, second, third = (keys.key_of(content) for content in (b"a\n", b"b\n", b"a\n"))
    assert first.startswith("orders-17-3-")
    assert len(first) == len("orders-17-3-") + 32
    assert third == f"{first}-2"
    assert second != first
    assert Keys("orders", "17-4").key_of(b"a\n") != first
