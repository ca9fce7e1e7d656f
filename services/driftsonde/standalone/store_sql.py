"""Reading just enough of a ClickHouse statement to route it: verb, output format, and where inline data begins."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""
      (?P<quoted>  '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | `(?:[^`\\]|\\.)*` )
    | (?P<heredoc> \$(?P<tag>\w*)\$ .*? \$(?P=tag)\$ )
    | (?P<comment> --[^\n]* | /\*.*?\*/ | \#[!\ ][^\n]* )
    | (?P<word>    \w+ )
    | (?P<mark>    [^\s\w] )
    """,
    re.VERBOSE | re.DOTALL,
)
# What stands between the format's name and its data: blanks, then one line break, which is not data.
_DATA_GAP = re.compile(rb"[ \t]*;?[ \t]*(?:\r?\n)?")

# Statements whose outcome is a result set, so that a client may expect a format even for no rows.
_RESULT_VERBS = frozenset(
    {"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "CHECK", "KILL", "FROM"}
)
READER_VERBS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS"})


class StatementRefused(Exception):
    """The statement may not run; `code` is the ClickHouse error code that a server would answer with."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, split from the data that follows it.

    `text` is the SQL without inline data, `data` the bytes after `INSERT ... FORMAT name` (None when the
    statement carries no such clause) and `format` the format named by the statement, of its data or its result.
    `settings` is the SETTINGS clause of an insert with data, which is then not in `text`.
    """

    verb: str
    text: bytes
    format: str | None
    data: bytes | None
    settings: bytes = b""

    @property
    def returns_rows(self) -> bool:
        return self.verb in _RESULT_VERBS


def parse_statement(sql: bytes) -> Statement:
    """Split one statement. Raises StatementRefused for an empty text or for several statements (as a server does).

    >>> parse_statement(b"INSERT INTO t (a) FORMAT TSV\\n1\\n2")
    Statement(verb='INSERT', text=b'INSERT INTO t (a) ', format='TSV', data=b'1\\n2', settings=b'')
    >>> parse_statement(b"select 'x; FORMAT y' format JSON").format
    'JSON'
    """
    verb = ""
    depth = 0
    ended = False
    settings_start: int | None = None
    last, before_last = b"", b""
    for match in _tokens(sql):
        token = match.group()
        if ended:
            raise StatementRefused(62, "Multi-statements are not allowed. (SYNTAX_ERROR)")
        if token == b";":
            ended = True
            continue
        depth += (token == b"(") - (token == b")")
        is_word = match.lastgroup == "word"
        if verb == "INSERT" and is_word and depth == 0:
            if last.upper() == b"FORMAT":
                return _insert_with_data(sql, settings_start, token.decode(), match.end())
            if token.upper() == b"SETTINGS" and settings_start is None:
                settings_start = match.start()
            if token.upper() in (b"VALUES", b"SELECT", b"WITH"):
                # The rest is values or a query for the engine; long lists of values are not worth scanning.
                return Statement("INSERT", sql, None, None)
        if is_word and not verb:
            verb = token.decode().upper()
        before_last, last = last, token
    if not verb:
        raise StatementRefused(62, "Empty query. (SYNTAX_ERROR)")
    return Statement(verb, sql, last.decode() if before_last.upper() == b"FORMAT" else None, None)


def check_reader_may_run(statement: Statement) -> None:
    """Refuse what the engine's readonly=1 lets through: other verbs, writing or reading files of this machine."""
    words = [match.group().upper().strip(b'`"') for match in _tokens(statement.text)]
    reads_files = any(word == b"FILE" and after == b"(" for word, after in itertools.pairwise(words))
    writes_files = any(pair == (b"INTO", b"OUTFILE") for pair in itertools.pairwise(words))
    if statement.verb not in READER_VERBS or reads_files or writes_files:
        raise StatementRefused(164, "reader: Cannot execute query in readonly mode. (READONLY)")


def _tokens(sql: bytes) -> Iterator[re.Match[bytes]]:
    return (match for match in _TOKEN.finditer(sql) if match.lastgroup != "comment")


def _insert_with_data(sql: bytes, settings_start: int | None, format_name: str, name_end: int) -> Statement:
    head = re.sub(rb"FORMAT\s+\w+$", b"", sql[:name_end], flags=re.IGNORECASE)
    gap = _DATA_GAP.match(sql, name_end)
    assert gap is not None  # the pattern matches the empty string
    split = len(head) if settings_start is None else settings_start
    return Statement("INSERT", head[:split], format_name, sql[gap.end() :], head[split:])
