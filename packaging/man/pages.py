"""Markdown pages as sections of manual pages: the documentation is written once.

What it may hold: headings, paragraphs, indented and fenced examples, bulleted lists, tables.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import roff


def sections(page: Path, above: str) -> Iterator[str]:
    """Yield the lines of a page; `above` is the name of the section before its second heading."""
    blocks = re.split(r"\n{2,}", page.read_text().strip())
    yield f".SH {above}"
    for block in blocks[1:]:  # the first is the title
        yield from _block(block)


def _block(block: str) -> Iterator[str]:
    """Yield one block: its first characters tell what it is."""
    lines = block.splitlines()
    if block.startswith("## "):
        yield f".SH {roff.literal(block[3:].upper())}"
    elif block.startswith("### "):
        yield f".SS {roff.literal(block[4:])}"
    elif block.startswith("```"):
        yield from roff.example(lines[1:-1])
    elif block.startswith("    "):
        yield from roff.example(line[4:] for line in lines)
    elif block.startswith("| "):
        yield from _table(lines)
    elif block.startswith("- "):
        for item in re.split(r"\n?^- ", block, flags=re.MULTILINE)[1:]:
            yield ".IP \\(bu 3"
            yield from roff.paragraph(item)
    else:
        yield ".PP"
        yield from roff.paragraph(block)


def _table(lines: list[str]) -> Iterator[str]:
    """Yield a table as a list: the first column is the tag, the headers name what has no place."""
    headers, _, *rows = (_cells(line) for line in lines)
    for tag, *others in rows:
        named = list(zip(headers[1:-1], others[:-1], strict=True))
        told = [f"*{_capital(header)}:* {cell}." for header, cell in named if cell]
        yield from roff.tagged(
            roff.inline(tag), *told, *([_capital(others[-1])] if others[-1] else [])
        )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
