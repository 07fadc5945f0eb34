"""Looks for secrets by value, in whatever form they may have got into a text."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

import psycopg
from psycopg import sql

_SHORTEST = 8  # characters of a form that is looked for


def forms(secret: str) -> set[str]:
    """Return what a secret may look like: as it is, encoded for a URL, in JSON, in base64.

    So it does where a server takes UTF-8 for Latin-1, and tells what it read. Base64 differs with
    the place of the secret in what was encoded: all three are looked for.
    """
    found = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
    found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    found |= {repr(secret)[1:-1], secret.encode().hex()}
    misread = secret.encode().decode("latin-1")
    found |= {misread, json.dumps(misread)[1:-1], json.dumps(misread, ensure_ascii=False)[1:-1]}
    for lead in range(3):
        data = base64.b64encode(b"x" * lead + secret.encode()).decode()
        start, end = (0, 2, 3)[lead], len(data) - 4 * bool((len(secret.encode()) + lead) % 3)
        found |= {data[start:end], data[start:end].replace("+", "-").replace("/", "_")}
    return {form for form in found if len(form) >= _SHORTEST}


class Search:
    """Finds secrets, each by a name, in texts; the names are told, and where."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._forms = {name: forms(value) for name, value in secrets.items()}
        self.looked_at = 0

    def found(self, texts: Iterator[tuple[str, str]]) -> list[str]:
        """Return what was found in texts, which come with their places."""
        told = []
        for place, text in texts:
            self.looked_at += 1
            told += [
                f"{name} in {place}: {_around(text, form)}"
                for name, known in self._forms.items()
                for form in known
                if form in text
            ]
        return told


def _around(text: str, form: str) -> str:
    at = text.index(form)
    return text[max(at - 60, 0) : at + len(form) + 20]


def of_store(dsn: str) -> Iterator[tuple[str, str]]:
    """Yield every row of every table and view of syncd's, as text."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'syncd'"
        ).fetchall()
        for (name,) in tables:
            query = sql.SQL("select row_to_json(t)::text from syncd.{} t")
            for (text,) in connection.execute(query.format(sql.Identifier(name))):
                yield f"table {name}", text


def of_files(directory: Path, *without: str) -> Iterator[tuple[str, str]]:
    """Yield every file below a directory, but for some that stand in it."""
    for file in sorted(directory.rglob("*")):
        if file.is_file() and file.relative_to(directory).parts[0] not in without:
            yield f"file {file}", file.read_bytes().decode("utf-8", "replace")
