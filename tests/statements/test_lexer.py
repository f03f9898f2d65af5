"""The lexer against SQL made of known lexemes, against any text, and against the manual ("Lexical Structure").

The tables have been compared by hand with a server of PostgreSQL 18 and with its psql.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.statements.lexer import Kind, Unterminated, scan
from service.statements.statement import FilePlace, Scope, Statement, compile_statement

QUICK = settings(max_examples=300, deadline=None, derandomize=True)
PLACE = FilePlace(Path("things.sql"), 1)
Piece = tuple[Kind, str]


def lex(text: str) -> list[Piece]:
    return [(lexeme.kind, lexeme.text) for lexeme in scan(text)]


def parts(text: str, kind: Kind) -> list[str]:
    return [piece for found, piece in lex(text) if found is kind]


# Lexemes. LURES are what a scanner stumbles over that does not know where it is.

LURES = [":name", "--", "/*", '"', "''", "$$", "$x$", "$1", "::", ";", "é", "[", "]", " ", "\n", "\r\n", " -- when :x"]


def joined(*pieces: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=5).map("".join)


def continued(text: tuple[str, list[tuple[str, str]]]) -> str:
    first, more = text
    return f"'{first}'" + "".join(f"{gap}'{body}'" for gap, body in more)


GAPS = st.sampled_from(["\n", "\r", " \f\n\t ", "\n\n", " -- it's :x\n", "-- a -- b\r\n -- '\n--\n  "])
PLAIN = joined(*LURES, "\\", "E")
ESCAPED = joined(*LURES, r"\'", r"\\", r"\n", r"\:name")
IDENTIFIERS = joined(":a", "'", '""', "--", "/*", "\n", "$$")


def strings(prefixes: list[str], body: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    text = st.tuples(body, st.lists(st.tuples(GAPS, body), max_size=2)).map(continued)
    return st.builds(str.__add__, st.sampled_from(prefixes), text)


@st.composite
def dollar_quotes(draw: st.DrawFn) -> str:
    delimiter = f"${draw(st.sampled_from(['', 'a', '_1', 'Größe', 'body']))}$"
    lures = st.sampled_from([*LURES, "'", "$", "\\", "$A$", "/* it's */"])
    body = " ".join(lure for lure in draw(st.lists(lures, max_size=5)) if delimiter not in lure)
    return f"{delimiter} {body} {delimiter}"


NESTED = st.recursive(
    st.lists(st.sampled_from([":name", "it's", '"', "$$", "*", "/", "--", "\n", "-- when :x"]), max_size=4).map(
        " ".join
    ),
    lambda inner: st.builds("{0} /* {1} */ {0}".format, inner, inner),
    max_leaves=4,
)
NAMES = ["a", "b", "name", "_x1", "Größe", "tenant_id"]
WORDS = ["a", "SELECT", "x1", "_y", "a$b$c", "größe", "名前", "E", "e", "u", "U", "b", "n", "X"]
NUMBERS = ["0", "42", "1_000", "0xFF", "0x_ff", "0o17", "0b1_0", "1e5", "1.5e-3", ".5", "3.", "1.e5", "1E+1_0", "1.2_3"]
SYMBOLS = [*"+-*/<>=~!@#%^&|?,().", "::", ":=", "..", ":"]
SLICES = """
a [ 1 : 2 ]
a [ i : j ]
a [ f ( i ) : j ]
"q" [ i : ]
a [ 'k' : j ]
a [ $$k$$ : j ]
a [ i :: int : j ]
a [ b [ 1 ] : c ]
a [ 1 : 2 ] [ i : j ]
""".strip().split("\n")  # written with blanks between the lexemes


def one(kind: Kind, texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[Piece]]:
    return texts.map(lambda text: [(kind, text)])


def kind_of(text: str) -> Kind:
    """The kind of one lexeme of a slice."""
    if text[0] == ":" and text[1:].isalpha():
        return Kind.PARAMETER
    by_first = {"'": Kind.STRING, "$": Kind.STRING, '"': Kind.QUOTED}
    plain = Kind.NUMBER if text.isdigit() else Kind.WORD if text.isalpha() else Kind.SYMBOL
    return by_first.get(text[0], plain)


def cut(text: str) -> list[Piece]:
    return [(kind_of(part), part) for part in text.split()]


PIECES = st.one_of(
    one(Kind.PARAMETER, st.sampled_from(NAMES).map(":{}".format)),
    one(Kind.WORD, st.sampled_from(WORDS) | st.from_regex(r"[a-z_][a-z0-9_$]{0,4}", fullmatch=True)),
    one(Kind.QUOTED, st.builds('{}"{}"'.format, st.sampled_from(["", "U&", "u&"]), IDENTIFIERS)),
    one(Kind.STRING, strings(["", "U&", "u&", "n", "N"], PLAIN)),
    one(Kind.STRING, strings(["E", "e"], ESCAPED)),
    one(Kind.STRING, strings(["B", "b", "X", "x"], joined("0", "1"))),
    one(Kind.STRING, dollar_quotes()),
    one(Kind.COMMENT, st.sampled_from(["--", "-- it's :x", "--:a /* $$", '-- "', "--- E'\\"])),
    one(Kind.COMMENT, NESTED.map("/* {} */".format)),
    one(Kind.COMMENT, st.sampled_from(["/**/", "/***/", "/*/*/**/*/*/", "/*//**/*/"])),
    one(Kind.NUMBER, st.sampled_from(NUMBERS)),
    one(Kind.SYMBOL, st.sampled_from(SYMBOLS)),
    st.sampled_from([*SLICES, "a [ :a ]", "a [ :a : 2 ]", "a [ :b : j ]", "a [ f ( :a ) : j ]"]).map(cut),
)
SPACES = st.sampled_from(["", "", " ", "\n", "\t \f\v", "\r\n  "])
WORDY = (Kind.WORD, Kind.NUMBER, Kind.PARAMETER)
QUOTES = (Kind.STRING, Kind.QUOTED)


def merges(left: Piece, right: Piece) -> bool:
    """Whether two lexemes that touch would be read as others (or, to be safe, might be)."""
    (before, after), joint = (left[0], right[0]), left[1][-1] + right[1][0]
    return any(
        [
            before in WORDY and (after in (*WORDY, *QUOTES) or joint[1] == "."),
            before in QUOTES and after in (*QUOTES, Kind.PARAMETER),
            joint[0] in "])" and after is Kind.PARAMETER,
            joint[0] in ".:" and (after in WORDY or joint[1].isalpha()),
            joint in ("--", "/*", "::", ":=", "..", "&'", '&"'),
        ]
    )


@st.composite
def sql(draw: st.DrawFn) -> list[Piece]:
    """Lexemes with white space where two would merge, and a comma where a string would go on."""
    pieces: list[Piece] = []
    open_string = False
    for group in draw(st.lists(PIECES, max_size=12)):
        for number, piece in enumerate(group):
            space = "" if number else draw(SPACES)
            if pieces and pieces[-1][1].startswith("--") and space[:1] not in ("\n", "\r"):
                space = "\n" + space
            if open_string and piece[1][0] == "'" and not number:
                pieces += [(Kind.SPACE, space or " "), (Kind.SYMBOL, ",")]
                space = ""
            elif not space and not number and pieces and merges(pieces[-1], piece):
                space = " "
            pieces += [(Kind.SPACE, space), piece] if space else [piece]
            if not piece[1].startswith("--"):
                open_string = piece[0] is Kind.STRING and piece[1][-1] == "'"
    return pieces


def text_of(pieces: list[Piece]) -> str:
    return "".join(text for _, text in pieces)


# Properties.


@QUICK
@given(sql())
def test_a_text_is_cut_into_the_lexemes_that_it_was_built_from(pieces: list[Piece]) -> None:
    assert lex(text_of(pieces)) == pieces


@QUICK
@given(sql())
def test_a_lexeme_knows_the_line_that_it_begins_on(pieces: list[Piece]) -> None:
    before = ""
    for lexeme in scan(text_of(pieces)):
        assert lexeme.line == before.count("\n")
        before += lexeme.text


@QUICK
@given(st.text(alphabet="'\"$:/*-\\\n\r\f\v\0eEuU&bxn_10.[]()=;aé \t", max_size=40))
@example("'a\n''")
@example("E'a''\\'")
def test_any_text_is_given_back_or_does_not_end(text: str) -> None:
    begins = None
    try:
        assert "".join(lexeme.text for lexeme in scan(text)) == text
    except Unterminated as error:
        begins = error.line
    assert begins is None or 0 <= begins <= text.count("\n")


def compiled(text: str, names: list[str]) -> Statement:
    scope: Scope = "tenant" if "tenant_id" in names else "shared"
    return compile_statement(text, name="find", kind="many", scope=scope, doc="Things.", head=PLACE, body=PLACE)


@QUICK
@given(sql())
def test_compiling_replaces_the_parameters_and_touches_nothing_else(pieces: list[Piece]) -> None:
    pieces = [(Kind.WORD, "SELECT"), (Kind.SYMBOL, "("), *pieces]
    while pieces[-1][0] is Kind.SPACE:
        pieces.pop()
    names = list(dict.fromkeys(text[1:] for kind, text in pieces if kind is Kind.PARAMETER))
    variant = compiled(text_of(pieces), names).variants[0]
    expected = [
        (Kind.POSITIONAL, f"${names.index(text[1:]) + 1}") if kind is Kind.PARAMETER else (kind, text)
        for kind, text in pieces
    ]
    assert variant.parameters == tuple(names)
    assert lex(variant.text.removeprefix("/* things.find */ ")) == expected


@QUICK
@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=12))
def test_numbers_are_dense_and_in_order_of_first_appearance(names: list[str]) -> None:
    variant = compiled("SELECT " + ", ".join(f":{name}" for name in names), names).variants[0]
    numbers = [int(text[1:]) for text in parts(variant.text, Kind.POSITIONAL)]
    assert list(dict.fromkeys(numbers)) == list(range(1, len(set(names)) + 1))
    assert [variant.parameters[number - 1] for number in numbers] == names


# The manual's rules, one literal each.

STRINGS = {
    "plain": "'a'",
    "empty": "''",
    "a doubled quote": "'it''s :no'",
    "only doubled quotes": "''''''",
    "a backslash is an ordinary character": r"'\'",
    "a line break": "'a\nb'",
    "a comment's beginning": "'-- no /* no'",
    "an escaped quote": r"E'it\'s :no'",
    "an escaped backslash before the end": r"E'\\'",
    "a doubled quote after an escape": r"E'\\'''",
    "a small e": r"e'\''",
    "an escaped line break": "E'a\\\nb'",
    "Unicode escapes know no backslash quote": r"U&'\'",
    "a Unicode escape": r"u&'d\0061t\+000061'",
    "bits": "B'101'",
    "hexadecimal digits": "x'1FF'",
    "national": "N'it''s'",
    "continued": "'a'\n'b'",
    "continued after a carriage return": "'a'\r'b'",
    "continued with blanks": "'a' \t\f\n\n   'b'",
    "continued past a comment on its line": "'a' -- it's :no\n'b'",
    "continued past a comment that touches": "'a'--\n'b'",
    "continued past a comment on a line between": "'a'\n-- it's :no\n  'b'",
    "continued twice": "'a'\n'b'\n'c'",
    "continued with escapes": "E'a'\n'\\''",
    "continued without escapes": "'a'\n'\\'",
    "continued bits": "B'1'\n'0'",
    "dollars": "$$it's :no$$",
    "a tag": "$q$ $$ -- /* :no $q$",
    "another tag inside": "$a$ $b$a$",
    "a tag that differs by case": "$a$ $A$ $a$",
    "a tag with digits": "$a1$ $a$ $a1$",
    "a tag beyond ASCII": "$größe$ : $größe$",
    "dollars before the end": "$$ $1 $$",
    "a tag's beginning before its end": "$a$ $a $a$",
    "a backslash in dollars": "$$\\$$",
}


@pytest.mark.parametrize("text", STRINGS.values(), ids=STRINGS.keys())
def test_a_string_is_one_lexeme(text: str) -> None:
    assert lex(f"{text},:x") == [(Kind.STRING, text), (Kind.SYMBOL, ","), (Kind.PARAMETER, ":x")]


@pytest.mark.parametrize(
    "text", ['"a"', '"a""b"', '":no"', '"it\'s"', '"--"', r'U&"d\0061t"', 'u&"a""b"', '"$$"', '"a\nb"']
)
def test_a_quoted_identifier_is_one_lexeme(text: str) -> None:
    assert lex(f"{text}:x") == [(Kind.QUOTED, text), (Kind.PARAMETER, ":x")]


@pytest.mark.parametrize(
    "text",
    [
        "/**/",
        "/***/",
        "/*$$*/",
        "/*/**/*/",
        "/* it's :no */",
        "/*/ */",
        "/* /* :no */ :no */",
        "/* -- */",
        "/* a\n'b */",
    ],
)
def test_a_block_comment_nests_and_hides_all_in_it(text: str) -> None:
    assert lex(f"{text}:x") == [(Kind.COMMENT, text), (Kind.PARAMETER, ":x")]


@pytest.mark.parametrize("text", ["--", "-- it's :no", "--/*", "---", '--"', "--$$", "-- a\f\vb", "--\\"])
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_line_comment_ends_at_any_line_break(text: str, end: str) -> None:
    assert lex(f"{text}{end}:x") == [(Kind.COMMENT, text), (Kind.SPACE, end), (Kind.PARAMETER, ":x")]


def test_a_line_comment_may_end_the_text() -> None:
    assert lex("1--:a") == [(Kind.NUMBER, "1"), (Kind.COMMENT, "--:a")]


@pytest.mark.parametrize("text", ["a", "_", "a1", "a$b$c", "a$1", "größe", "名前", "\xa0", "nE", "ab$$x$$"])
def test_a_word_is_one_lexeme(text: str) -> None:
    assert lex(text) == [(Kind.WORD, text)]


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_is_one_lexeme(text: str) -> None:
    assert lex(f"{text},") == [(Kind.NUMBER, text), (Kind.SYMBOL, ",")]


SEVERAL = [
    ("'a' 'b'", ["'a'", " ", "'b'"]),  # a string goes on after a line break alone
    ("'a' /* c */\n'b'", ["'a'", " ", "/* c */", "\n", "'b'"]),
    ("'a'\nE'b'", ["'a'", "\n", "E'b'"]),
    ("$$a$$\n'b'", ["$$a$$", "\n", "'b'"]),
    ("'a'\n$$b$$", ["'a'", "\n", "$$b$$"]),
    ('"a"\n"b"', ['"a"', "\n", '"b"']),
    ("'a'\n- 'b'", ["'a'", "\n", "-", " ", "'b'"]),
    ("E 'x'", ["E", " ", "'x'"]),
    ("fooE'x'", ["fooE", "'x'"]),
    ("u & 'x'", ["u", " ", "&", " ", "'x'"]),
    ("1..2", ["1", "..", "2"]),
    ("1...2", ["1", "..", ".2"]),
    ("1.5.5", ["1.5", ".5"]),
    ("a.5", ["a", ".5"]),
    ("1e", ["1", "e"]),
    ("1__0", ["1", "__0"]),
    ("0x", ["0", "x"]),
    ("-1", ["-", "1"]),
    ("$1$", ["$1", "$"]),
    ("1$$x$$", ["1", "$$x$$"]),
    ("$1$$x$$", ["$1", "$$x$$"]),
    ("$a", ["$", "a"]),
    ("2*/*c*/3", ["2", "*", "/*c*/", "3"]),
    ("@-/*c*/1", ["@", "-", "/*c*/", "1"]),
    ("*/", ["*", "/"]),
    ("1---1", ["1", "---1"]),
    ("//**/", ["/", "/**/"]),
    ("a::b", ["a", "::", "b"]),
    ("a:=b", ["a", ":=", "b"]),
    ("\0", ["\0"]),
    ("\f\v\t\r\n ", ["\f\v\t\r\n "]),
]


@pytest.mark.parametrize(("text", "lexemes"), SEVERAL)
def test_lexemes_that_touch_are_told_apart(text: str, lexemes: list[str]) -> None:
    assert [piece for _, piece in lex(text)] == lexemes


# Parameters.


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (":a", [":a"]),
        (":a9_b", [":a9_b"]),
        (":größe", [":größe"]),  # psql takes the same letters
        ("a=:b", [":b"]),
        (":a::int", [":a"]),
        ("x:::y", [":y"]),
        ("f(n:=:v)", [":v"]),
        ("f(n=>:v)", [":v"]),
        (":a:b", [":a", ":b"]),
        (":a-:b", [":a", ":b"]),
        (":a.b", [":a"]),
        (":a$$x$$", [":a"]),
        ("': ':a", [":a"]),
        ("{':no', :a}", [":a"]),
        (":1", []),
        (": a", []),
        (":'a'", []),
        ("::a", []),
        (":=a", []),
    ],
)
def test_a_parameter_is_a_colon_with_a_name(text: str, names: list[str]) -> None:
    assert parts(text, Kind.PARAMETER) == names


@pytest.mark.parametrize("text", [*SLICES, "a[1:n]", "a[:2]", "a[(1):n]", "a[f(x[1]):n]", "a[n]::text"])
def test_a_slice_is_not_a_parameter(text: str) -> None:
    assert parts(text.replace(" ", ""), Kind.PARAMETER) == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a[:i]", [":i"]),
        ("a[:lo : :hi]", [":lo", ":hi"]),
        ("a[:lo: :hi]", [":lo", ":hi"]),
        ("a[:lo:2]", [":lo"]),
        ("a[:lo:n]", [":lo"]),
        ("a[1: :hi]", [":hi"]),
        ("a[i+:n]", [":n"]),
        ("a[f(:n):m]", [":n"]),
        ("a[1:2] = :x", [":x"]),
        ("a[b[1:m]]:x", [":x"]),
        ("ARRAY[1,:x,(:y)]", [":x", ":y"]),
        ("a[i:j][:k]", [":k"]),
    ],
)
def test_a_parameter_may_stand_in_brackets(text: str, names: list[str]) -> None:
    assert parts(text, Kind.PARAMETER) == names


def test_a_parameter_is_named_without_its_colon() -> None:
    assert [lexeme.name for lexeme in scan(":after_id")] == ["after_id"]


# What does not end.


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("'a", "string"),
        ("'a''", "string"),
        ("'it''s", "string"),
        (r"E'\'", "string"),
        (r"E'a''\'", "string"),
        ("E'\\", "string"),
        ("U&'a", "string"),
        ("'a'\n'b", "string"),
        ("$$a", "string $$"),
        ("$$a$", "string $$"),
        ("$a$ $b$", "string $a$"),
        ("$a$ $A$", "string $a$"),
        ('"a', "quoted identifier"),
        ('"a""', "quoted identifier"),
        ('U&"a', "quoted identifier"),
        ("/*", "comment"),
        ("/*/", "comment"),
        ("/*/*/", "comment"),
        ("/* /* */", "comment"),
        ("/* -- */ /* \n*", "comment"),
    ],
)
def test_what_does_not_end_says_what_it_is(text: str, what: str) -> None:
    with pytest.raises(Unterminated, match=f"^{what.replace('$', '[$]')} does not end$"):
        lex(f"1 {text}")


@pytest.mark.parametrize("text", ["'a\n''\n", "'a'\n'b\n", "E'\n\\'\n", '"a\n""\n', "$$\n\n", "/*\n/*\n*/\n"])
def test_what_does_not_end_says_where_it_begins(text: str) -> None:
    with pytest.raises(Unterminated) as caught:
        lex(f"/*\n*/\n{text}")
    assert caught.value.line == 2


@pytest.mark.parametrize("ruler", [" " + "-" * 44, " " + "-- " * 44, "\n" + "-- b\n" * 44, "\n" + "-" * 44])
def test_a_ruler_after_a_string_takes_no_time(ruler: str) -> None:
    began = time.perf_counter()
    lex(f"'a'{ruler}")
    assert time.perf_counter() - began < 0.5
