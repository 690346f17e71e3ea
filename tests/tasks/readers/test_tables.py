"""Tables: what is written is read back, and what does not fit is named by file and line."""

import csv
import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.errors import DataError
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.readers.tables import read_rows

COLUMNS = {"text": "a", "label": "b"}
cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"))
any_text = st.text(st.characters(exclude_categories=["Cs"]))


def read(suffix, content, columns=COLUMNS, header=True):
    content = content if isinstance(content, bytes) else content.encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows{suffix}"
        path.write_bytes(content)
        return list(read_rows(path, columns, header))


def line_of(row):
    return int(row.where.rpartition(", line ")[2])


def cells(rows):
    return [(row.cells["text"], row.cells["label"]) for row in rows]


@given(st.lists(st.tuples(cell, cell), min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_tsv_gives_back_what_was_written(rows, end):
    content = end.join("\t".join(row) for row in [("a", "b"), *rows]) + end
    found = read(".tsv", content)
    assert cells(found) == rows
    assert [line_of(row) for row in found] == list(range(2, len(rows) + 2))


@given(st.lists(st.tuples(any_text, any_text), min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_csv_gives_back_what_the_csv_module_wrote(rows, end):
    file = io.StringIO()
    csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    assert cells(read(".csv", file.getvalue())) == rows


@given(st.lists(st.tuples(any_text, any_text), min_size=1), st.booleans())
def test_json_lines_give_back_what_was_written(rows, ascii_only):
    lines = [json.dumps({"a": a, "b": b}, ensure_ascii=ascii_only) + "\n" for a, b in rows]
    assert cells(read(".jsonl", "".join(lines))) == rows


@given(st.lists(st.tuples(any_text, any_text), min_size=1), st.booleans())
def test_json_gives_back_what_was_written(rows, in_a_list):
    values = [{"a": a, "b": b} for a, b in rows]
    content = (
        json.dumps(values) if in_a_list else "\n".join(json.dumps(v, indent=1) for v in values)
    )
    assert cells(read(".json", content)) == rows


def test_parquet_gives_back_what_was_written(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [("x", "1"), ("今天\n", "2")]
    table = pyarrow.Table.from_pylist([{"a": a, "b": b, "more": [1]} for a, b in rows])
    parquet.write_table(table, tmp_path / "rows.parquet")
    assert cells(read_rows(tmp_path / "rows.parquet", COLUMNS)) == rows
    (tmp_path / "rows.parquet").write_text("a\tb\n")
    with pytest.raises(DataError, match="rows.parquet: expected a Parquet file"):
        list(read_rows(tmp_path / "rows.parquet", COLUMNS))


csv_text = st.text(st.sampled_from('ab", \n'), max_size=30)


@given(csv_text, st.sampled_from(["", "\n", "\n\n", "\r\n\r\n"]))
def test_csv_is_what_the_csv_module_reads(body, end):
    """Quotation marks in bare cells, breaks in quoted ones, blank lines at the end."""
    content = f"a,b\n{body}{end}"
    try:
        expected = list(csv.reader(io.StringIO(content, newline=""), strict=True))
    except csv.Error:
        expected = [[]]
    while expected and not expected[-1]:
        expected.pop()
    if not expected[1:] or any(len(row) != 2 for row in expected):
        with pytest.raises(DataError):
            read(".csv", content)
    else:
        assert cells(read(".csv", content)) == [tuple(row) for row in expected[1:]]


def test_a_mark_in_a_bare_cell_and_a_blank_end():
    assert cells(read(".csv", 'a,b\na 5" disk,1\nx,2\n\n\n')) == [('a 5" disk', "1"), ("x", "2")]


def test_csv_line_numbers_count_breaks_inside_cells():
    found = read(".csv", 'a,b\n"one\n\ntwo",x\nthree,y\n')
    assert [(line_of(row), row.cells["text"]) for row in found] == [(2, "one\n\ntwo"), (5, "three")]


def test_a_bad_row_of_csv_is_one_among_others():
    bad = BadRows(skip=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_bytes(b'a,b\n\xff,0\n"x"y,1\nz,2\n"w,3\n')
        assert [line_of(row) for row in read_rows(path, COLUMNS, bad=bad)] == [4]
    encoding, junk, unclosed = bad.messages
    assert "line 2: expected UTF-8" in encoding
    assert "line 3: expected CSV: ',' expected after" in junk
    assert "line 5: expected CSV: unexpected end of data" in unclosed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'a,b\nu,1\n"w,3\nv,4\n', "line 3: expected CSV: unexpected end of data"),
        (b'a,b\n"w,3\nv,4\nx,"5"\n', "line 2: expected CSV: ',' expected after"),
        (b'a,b\n"one\n\xfftwo\nthree",1\nv,4\n', "lines 2 to 4: expected UTF-8 within quo"),
    ],
)
def test_what_takes_in_other_rows_of_csv_is_not_skipped(content, message):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            list(read_rows(path, COLUMNS, bad=BadRows(skip=True)))


def test_cells_may_be_as_long_as_a_book():
    assert cells(read(".csv", f"a,b\n{'x' * 200_000},1\n")) == [("x" * 200_000, "1")]


def test_tsv_is_read_without_quoting():
    assert cells(read(".tsv", 'a\tb\n"bare quote\t1\n')) == [('"bare quote', "1")]


def test_byte_order_mark_and_blank_end_are_ignored():
    assert cells(read(".tsv", b"\xef\xbb\xbfa\tb\r\nx\t1\r\n\r\n\n")) == [("x", "1")]


def test_columns_in_any_order_and_by_number():
    assert cells(read(".tsv", "b\tz\ta\n1\t-\tx\n")) == [("x", "1")]
    found = read(".csv", "1,-,x\n", {"text": "2", "label": "0"}, header=False)
    assert cells(found) == [("x", "1")]


def test_json_numbers_become_text():
    assert cells(read(".jsonl", '{"a": "x", "b": 1}\n{"a": 2.5, "b": true}')) == [
        ("x", "1"),
        ("2.5", "true"),
    ]


@pytest.mark.parametrize(
    ("suffix", "content", "header", "expected"),
    [
        (".tsv", "a\tb\nx\t1\ny\n", True, "line 3: expected 2 columns .* received 1"),
        (".tsv", "a\tb\nx\t1\t2\n", True, "line 2: expected 2 columns .* received 3"),
        (".csv", 'a,b\n"x,1\n', True, "line 2: expected CSV"),
        (".tsv", "a\tc\nx\t1\n", True, "no column 'b'. Its columns: 'a', 'c'"),
        (".tsv", "a\tb\tb\nx\t1\t2\n", True, "more than one column 'b'"),
        (".tsv", "x\t1\n", False, "expected a column number from 0 to 1. Received: 'a'"),
        (".tsv", "a\tb\n\nx\t1\n", True, "line 2: expected a row. The line is blank"),
        (".tsv", "a\tb\n", True, "expected rows, found none"),
        (".tsv", "", True, "expected rows, found none"),
        (".tsv", b"a\tb\nx\xff\t1\n", True, "line 2: expected UTF-8. .* 0xff at position 1"),
        (".jsonl", '{"a": "x"}\n', True, "line 1: expected the key 'b'. Received: a"),
        (".jsonl", "[1]\n", True, "line 1: expected a JSON object"),
        (".jsonl", '{"a": "x", "b": 1}\n{"a"\n', True, "line 2: expected one JSON object a line"),
        (".jsonl", "[" * 100_000, True, "line 1: expected one JSON object a line: maximum rec"),
        (".jsonl", '{"a": %s}' % ("1" * 5000), True, "line 1: .* Exceeds the limit"),
        (".jsonl", '{"a": null, "b": 1}\n', True, "expected text or a number under 'a'"),
        (".jsonl", '{"a": "x", "b": 1}\n', False, "JSON objects have keys"),
        (".json", '[{"a": "x", "b": 1}, 3]', True, "item 2: expected a JSON object. Received: 3"),
        (".xlsx", "a", True, "expected a file ending in .tsv"),
    ],
)
def test_what_does_not_fit_is_named(suffix, content, header, expected):
    with pytest.raises(DataError, match=expected):
        read(suffix, content, header=header)


def test_a_number_where_there_is_a_header_gets_a_hint():
    with pytest.raises(DataError, match="Numbers are for files without a header"):
        read(".tsv", "x\t1\ny\t0\n", {"text": "0"})


def test_a_second_file_without_rows_is_named_beside_bad_rows_of_the_first(tmp_path):
    bad, task = BadRows(skip=True), ClassificationTask(labels=("x", "y"))
    (tmp_path / "a.tsv").write_text("text\tlabel\na\tx\nb\tz\n")
    assert len(task.read_examples(tmp_path / "a.tsv", bad=bad)) == len(bad.messages) == 1
    (tmp_path / "b.tsv").write_text("text\tlabel\n")
    with pytest.raises(DataError, match="b.tsv: expected rows, found none"):
        task.read_examples(tmp_path / "b.tsv", bad=bad)
    (tmp_path / "b.tsv").write_text("text\tlabel\nc\tz\nd\tz\n")
    with pytest.raises(
        DataError, match="b.tsv: none of its 2 rows fits. The first: .*b.tsv, line 2"
    ):
        task.read_examples(f"{tmp_path}/./b.tsv", bad=bad)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", 'text;label\n"a; b";x\nc;y\n'),
        ("rows.txt", "text;label\na, b;x\nc;y\n"),
    ],
)
def test_another_delimiter(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    columns = {"text": "text", "label": "label"}
    first, second = read_rows(tmp_path / name, columns, delimiter=";")
    assert first.cells == {"text": "a; b" if name == "rows.csv" else "a, b", "label": "x"}
    assert second.cells == {"text": "c", "label": "y"}
