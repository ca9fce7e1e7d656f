import pytest

from driftsonde.standalone.store_sql import (
    Statement,
    StatementRefused,
    check_reader_may_run,
    parse_statement,
)


@pytest.mark.parametrize(
    ("sql", "text", "format_name", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x00;\xff", b"INSERT INTO t ", "Native", b"\x00;\xff"),
        (
            b"insert into t (`FORMAT`, format) format TSV\r\na\n",
            b"insert into t (`FORMAT`, format) ",
            "TSV",
            b"a\n",
        ),
        (b"/* FORMAT A */ INSERT INTO t FORMAT CSV 1,2", b"/* FORMAT A */ INSERT INTO t ", "CSV", b"1,2"),
        (b"INSERT INTO t FORMAT Native", b"INSERT INTO t ", "Native", b""),
    ],
)
def test_inline_data_is_split_off(sql: bytes, text: bytes, format_name: str, data: bytes) -> None:
    assert parse_statement(sql) == Statement("INSERT", text, format_name, data)


def test_settings_of_an_insert_stand_apart() -> None:
    sql = b"INSERT INTO t (settings) SETTINGS x = 1 FORMAT Arrow ;\n\nA"
    expected = Statement("INSERT", b"INSERT INTO t (settings) ", "Arrow", b"\nA", b"SETTINGS x = 1 ")
    assert parse_statement(sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        b"INSERT INTO t VALUES ('a;b', ';'); ",
        b"INSERT INTO t SELECT 1 FORMAT x",
        b"INSERT INTO t (a) WITH 1 AS a SELECT a",
    ],
)
def test_other_inserts_stay_whole(sql: bytes) -> None:
    assert parse_statement(sql) == Statement("INSERT", sql, None, None)


@pytest.mark.parametrize(
    ("sql", "verb", "format_name"),
    [
        (b"select 1 format JSON;", "SELECT", "JSON"),
        (b"-- a; b\n(SELECT 1) UNION ALL (SELECT 2)", "SELECT", None),
        (b"SELECT 'a\\'; FORMAT x', format, y", "SELECT", None),
        (b"SELECT $x$ ; ' $x$ -- end;", "SELECT", None),
        (b"DROP TABLE t;\n-- done", "DROP", None),
    ],
)
def test_verb_and_format(sql: bytes, verb: str, format_name: str | None) -> None:
    statement = parse_statement(sql)
    assert (statement.verb, statement.format, statement.data) == (verb, format_name, None)


@pytest.mark.parametrize("sql", [b"", b" -- nothing", b";", b"SELECT 1; SELECT 2", b"SELECT 1;;"])
def test_not_one_statement(sql: bytes) -> None:
    with pytest.raises(StatementRefused) as caught:
        parse_statement(sql)
    assert caught.value.code == 62


@pytest.mark.parametrize(
    "sql", [b"SELECT 'INTO OUTFILE', file, (1)", b"SELECT 'file', ('x')", b"SHOW TABLES"]
)
def test_a_reader_may_name_what_it_may_not_do(sql: bytes) -> None:
    check_reader_may_run(parse_statement(sql))
