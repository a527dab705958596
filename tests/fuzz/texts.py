"""SQL for fuzzing: texts that exist (the corpus, the tables of tests/sql, files given by hand), taken apart and put together anew.

What must not live here: what a text should be judged to be.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from random import Random

from tests.corpus.book import load
from tests.sql import statements

#: Strings, quoted names, dollar quotes, comments, words, numbers, operators, single characters.
_TOKEN = re.compile(
    r"""[eEbBxXnN]?'(?:[^']|'')*'|(?:[uU]&)?"(?:[^"]|"")*"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/"""
    r"""|[^\W\d]\w*|\d+(?:\.\d+)?|\$\d+|::|[<>=!~@#%^&|*/+-]+|\s+|.""",
    re.DOTALL,
)
_LONGEST = 6000  # of a text, in characters: over 8 kB it is read elsewhere
#: What has led somewhere before: names of the corpus' world, words and characters that change what a text is.
_HOT_TEXT = (
    "victims alt.victims docs parts v_plain v_evil v_over v_rule v_seq mv ruled guarded child pg_class pg_settings dom pair"
    " evil evil_sd evil_sql evil_immutable evil_dyn evil_row evil_check evil_set evil_agg nextval setval set_config lower"
    " count lo_create lo_unlink lo_put pg_notify pg_advisory_lock pg_terminate_backend dblink query_to_xml json_query"
    " json_value pg_input_is_valid pg_sleep current_setting txid_current pg_export_snapshot generate_series unnest"
    " DELETE UPDATE INSERT MERGE TRUNCATE SELECT INTO RETURNING WITH RECURSIVE FOR UPDATE SHARE ONLY LATERAL AS MATERIALIZED"
    " EXPLAIN ANALYZE EXECUTE PREPARE DECLARE CURSOR HOLD FETCH COPY TO FROM STDOUT STDIN PROGRAM SET LOCAL RESET ALL"
    " CREATE TABLE TEMP VIEW FUNCTION DROP ALTER GRANT DO CALL LOCK VACUUM REFRESH NOTIFY LISTEN CHECKPOINT BEGIN COMMIT"
    " ROLLBACK SAVEPOINT READ WRITE @!@ @!! :: ( ) [ ] , . ; * = 'a' $1 NULL ARRAY ROW CAST CASE WHEN END OVERLAPS"
    " WITHIN GROUP FILTER OVER PARTITION WINDOW TABLESAMPLE ORDINALITY COLLATE NATURAL JOIN USING UNION EXCEPT GROUPING"
    " CUBE VALUES TABLE LIMIT OFFSET XMLTABLE JSON_TABLE OPERATOR(public.@!@) U&'\\0041' E'\\'' $$x$$ $a$b$a$ /* */ --"
    " "
)
_HOT = tuple(_HOT_TEXT.split())
_NOISE = (
    "/* x */",
    "/* /* n */ */",
    "--x\n",
    "\n",
    "\t",
    "\v",
    "\f",
    "\r",
    "\u00a0",
    "\u2028",
    "\ufeff",
    "\\",
    "'",
    '"',
    "$",
    "\0",
    "é",
)
_FRAMES = (
    "SELECT ({0})",
    "SELECT * FROM ({0}) s",
    "SELECT EXISTS ({0})",
    "SELECT ARRAY({0})",
    "SELECT * FROM victims WHERE id IN ({0})",
    "WITH q AS ({0}) SELECT * FROM q",
    "WITH q AS MATERIALIZED ({0}) {1}",
    "EXPLAIN {0}",
    "EXPLAIN ANALYZE {0}",
    "EXPLAIN (ANALYZE off, VERBOSE) {0}",
    "PREPARE p AS {0}",
    "DECLARE c CURSOR FOR {0}",
    "DECLARE c CURSOR WITH HOLD FOR {0}",
    "COPY ({0}) TO STDOUT",
    "CREATE TABLE made AS {0}",
    "INSERT INTO victims {0}",
    "{0}; {1}",
    "({0}) UNION ALL ({1})",
    "{0} FOR UPDATE",
    "BEGIN; {0}; COMMIT",
    "DO $$ BEGIN {0}; END $$",
    "VALUES (({0}))",
)
_ARGUMENTS = (
    *(
        "1",
        "0",
        "-1",
        "2.5",
        "'x'",
        "''",
        "NULL",
        "true",
        "now()",
        "'{}'::jsonb",
        "'{a,b}'::text[]",
        "'victims'",
        "'a'",
    ),
    *(
        "'victims'::regclass",
        "'evil()'::regprocedure",
        "ARRAY[1,2]",
        "'<a/>'::xml",
        "'[1,2]'::int4range",
        "424242::oid",
    ),
    *(
        "'127.0.0.1'::inet",
        "'\\x00'::bytea",
        "interval '1 day'",
        "'(1,1)'::point",
        "'a'::tsvector",
        "'a'::tsquery",
        "1::int8",
    ),
    *(
        "'dom'::regtype",
        "'public'::regnamespace",
        "'DELETE FROM victims'",
        "'pg_catalog'",
        "current_user",
        "1::money",
        "B'1'",
    ),
)
#: Type -> values of it.
_OF = {
    "text": ("'victims'", "'DELETE FROM victims'", "'a'", "'{}'", "'public'", "''"),
    "name": ("'victims'", "'a'", "'public'", "'clerk'"),
    "regclass": ("'victims'", "'a'", "'parts'", "'victims_pkey'", "'mv'"),
    "oid": ("424242", "'victims'::regclass", "'evil()'::regprocedure", "1", "'a'::regclass"),
    "int4": ("1", "0", "-1", "100", "424242"),
    "int8": ("1", "0", "424242"),
    "int2": ("1::int2",),
    "bool": ("true", "false"),
    "bytea": ("'\\x00'",),
    "jsonb": ("'{\"a\": [1]}'", "'1'"),
    "json": ("'{\"a\": [1]}'",),
    "xml": ("'<a/>'",),
    "anyelement": ("1", "'x'::text", "NULL::victims"),
    "anyarray": ("ARRAY[1, 2]", "ARRAY['x'::dom::text]"),
    "record": ("ROW(1, 'x')", "(SELECT v FROM victims v LIMIT 1)"),
    "timestamptz": ("now()",),
    "interval": ("interval '1 day'",),
    "float8": ("0.5", "1"),
    "numeric": ("1", "2.5"),
    "tsquery": ("'a'",),
    "regtype": ("'dom'", "'pair'"),
    "regproc": ("'evil_dyn'",),
    "regprocedure": ("'evil()'",),
    "_text": ("'{a,b}'",),
}


@lru_cache(maxsize=4)
def known(directory: Path | None) -> tuple[str, ...]:
    """The texts to begin with; of a directory all its `*.sql`, split at each `;` that ends a line."""
    book = load(Path(__file__).parents[1] / "corpus" / "bypass.yaml")
    cases = (*book.cases, *book.pairs, *book.reads)
    found = [each.shown for case in cases for each in case.steps]
    tables = [value for name, value in vars(statements).items() if name.isupper() and isinstance(value, list)]
    found += [row[-1] for table in tables for row in table if isinstance(row[-1], str)]
    for file in sorted(directory.glob("*.sql")) if directory else ():
        lines = (each for each in file.read_text("utf-8", "replace").splitlines() if not each.startswith(("--", "\\")))
        found += re.split(r";[ \t]*\n", "\n".join(lines))
    return tuple(dict.fromkeys(each.strip() for each in found if 0 < len(each.strip()) <= _LONGEST))


@lru_cache(maxsize=50_000)
def tokens(text: str) -> tuple[str, ...]:
    return tuple(each[0] for each in _TOKEN.finditer(text))


def some(random: Random, directory: Path | None, functions: tuple[str, ...]) -> Iterator[str]:
    """Texts without end, each near to one that is known. `functions` to call: a name, or a name and its types, by blanks."""
    own, seeds = known(None), known(directory)
    while True:
        if random.random() < 0.1:
            yield call(random, functions)
            continue
        text = random.choice(own if random.random() < 0.5 else seeds)
        if random.random() < 0.35:
            text = random.choice(_FRAMES).format(text, random.choice(seeds))
        for _ in range(random.choice((0, 1, 1, 1, 2, 4))):
            text = _mutated(random, text, seeds)
        if 0 < len(text) <= _LONGEST:
            yield text


def call(random: Random, functions: tuple[str, ...]) -> str:
    """A SELECT that calls a function with arguments that may fit."""
    name, *types = random.choice(functions).split(" ")
    if types:
        given = ", ".join(random.choice((*_OF.get(each, ()), f"NULL::{each}")) for each in types if each)
    else:
        given = ", ".join(random.choice(_ARGUMENTS) for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 4))))
    shape = random.choice(
        ("SELECT {}({})", "SELECT {}({})", "SELECT * FROM {}({})", "SELECT {}({}) OVER ()", "SELECT ({}({})).*")
    )
    return shape.format(f'"{name}"', given)


def _mutated(random: Random, text: str, seeds: tuple[str, ...]) -> str:
    words = [*tokens(text)] or [""]
    at = random.randrange(len(words))
    luck = random.random()
    if luck < 0.25:
        words[at] = random.choice(_HOT)
    elif luck < 0.4:
        words[at] = random.choice(tokens(random.choice(seeds)) or ("",))
    elif luck < 0.5:
        del words[at]
    elif luck < 0.58:
        words.insert(at, words[at])
    elif luck < 0.66:
        other = random.randrange(len(words))
        words[at], words[other] = words[other], words[at]
    elif luck < 0.74:
        words.insert(at, " " + random.choice(_HOT) + " ")
    elif luck < 0.8:
        words.insert(at, random.choice(_NOISE))
    elif luck < 0.92:
        words = _spliced(random, words, [*tokens(random.choice(seeds))])
    else:
        where = random.randrange(len(text) + 1)
        return text[:where] + chr(random.choice((random.randrange(128), random.randrange(0x3000)))) + text[where + 1 :]
    return "".join(words)


def _spliced(random: Random, words: list[str], others: list[str]) -> list[str]:
    """A part in brackets of one text in the place of such a part of another, or a tail of one behind a head of the other."""
    here, there = _bracketed(words), _bracketed(others)
    if here and there and random.random() < 0.7:
        (begin, end), (first, last) = random.choice(here), random.choice(there)
        return words[:begin] + others[first:last] + words[end:]
    head, tail = random.randrange(len(words) + 1), random.randrange(len(others) + 1)
    return [*words[:head], " ", *others[tail:]]


def _bracketed(words: list[str]) -> list[tuple[int, int]]:
    opened: list[int] = []
    found: list[tuple[int, int]] = []
    for at, each in enumerate(words):
        if each == "(":
            opened.append(at)
        elif each == ")" and opened:
            found.append((opened.pop(), at + 1))
    return found
