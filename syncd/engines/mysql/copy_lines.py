r"""Rows of the text protocol made lines of COPY where they lie, without a look at single cells.

The length before a cell becomes the tab before it, and the header of a packet the end of a line.
What has a byte that COPY would have escaped is left to those who look at cells.
"""

from typing import Final

FULL: Final = 0xFFFFFF
"""A packet of this size is continued by the next one."""
WIDTHS: Final = {252: 2, 253: 3, 254: 8}
"""Bytes of a length by the byte before them."""
_NULL: Final = 251
_LAST: Final = 0xFE
_ERROR: Final = 0xFF
_TAB: Final = 0x09
_OF_NULL: Final = 0x01
_HEADER: Final = b"\0\0\0\n"
_MARKS: Final = b"\0\1\t\n\r\\"
"""Bytes to be left out, for NULL and between cells and lines, and those that COPY escapes."""


def is_last(size: int, first: int) -> bool:
    """Tell whether a packet is the last word about a result: its end, or an error."""
    return first >= _LAST and (first == _ERROR or size < 9)


def lined(data: bytes, width: int) -> tuple[bytes | None, int]:
    """Return the lines of the rows that are whole, and where they end in the data.

    None for the lines when something in them has to be escaped.
    """
    text, end, columns = bytearray(data), len(data), range(width)
    at = rows = blanks = 0
    while at + 4 < end:
        size = data[at] | data[at + 1] << 8 | data[at + 2] << 16
        if at + 4 + size > end or size == FULL or is_last(size, data[at + 4]):
            break
        text[at : at + 4] = _HEADER
        at += 4
        rows += 1
        for _ in columns:
            length = data[at]
            if length < _NULL:
                text[at] = _TAB
                at += length + 1
            elif length == _NULL:
                text[at] = _OF_NULL
                at += 1
            else:
                wide = WIDTHS[length]
                length = int.from_bytes(data[at + 1 : at + 1 + wide], "little")
                text[at] = _TAB
                text[at + 1 : at + 1 + wide] = bytes(wide)
                blanks += wide
                at += 1 + wide + length
    del text[at:]
    if len(text) - len(text.translate(None, _MARKS)) != rows * (4 + width) + blanks:
        return None, at
    told = text.translate(None, b"\0").replace(b"\1", b"\t\\N").replace(b"\n\t", b"\n")
    return bytes(told[1:]) + b"\n" if rows else b"", at
