"""What is said of types against what servers do: exact arrives, checked arrives or is refused.

Each value of each source type is put into a column of each target type, as the text in which values
travel, and read again. `places.py` is asked about single values as a copy asks it. Where types of
one family are called lossy, some value is really changed or refused, but for a list of exceptions.
"""

from itertools import product

from exact_pairs import COLUMNS, MARIA, PG, alike, same
from exact_putting import Put, held_by, putting
from mariadb_server import MariaDbServer

from syncd.copies.places import unplaced
from syncd.model.fits import fit


def test_what_is_said_of_types_holds(dsn: str, mariadb: MariaDbServer) -> None:
    with putting(dsn, mariadb) as put:
        wrong, careful = _judged(put)
    assert not wrong, "\n".join(wrong)
    assert sorted(careful) == sorted(_CAREFUL)


def _judged(put: Put) -> tuple[list[str], list[str]]:
    """Return what is said wrongly, and what is called lossy although no value shows it."""
    sources = [(engine, *each) for engine in (PG, MARIA) for each in held_by(put, engine)]
    wrong, careful = [], []
    for engine in (PG, MARIA):
        for (from_engine, source, values), (target, _) in product(sources, COLUMNS[engine]):
            said = fit(source, target, (from_engine, engine))
            kinds = () if said == "lossy" else unplaced(source, target, (from_engine, engine))
            told = [v for v in values if not any(kind.lacks(v.encode()) for kind in kinds)]
            found = list(zip(told, put(engine, target, told), strict=True))
            refused = [value for value, there in found if there is None]
            changed = [(v, t) for v, t in found if t is not None and not same(source, target, v, t)]
            name = f"{from_engine} {source.native} -> {engine} {target.native} is {said}"
            if (said != "lossy" and changed) or (said == "exact" and refused):
                wrong.append(f"{name}: changed {changed[:3]}, refused {refused[:3]}")
            if said == "lossy" and not changed and not refused and alike(source, target):
                careful.append(name)
    return wrong, careful


_CAREFUL = [
    f"{source} -> {target} is lossy"
    for target, sources in {
        # what would cut or fill up longer values; the ones tried are short
        "postgresql name": [
            "postgresql character varying(3)", "postgresql character(3)", 'postgresql "char"',
            "mariadb char(3)", "mariadb varchar(3)", "mariadb tinytext", "mariadb set('a','b')",
            "mariadb enum('1','a','b')",
        ],
        'postgresql "char"': ["mariadb enum('1','a','b')"],
        "mariadb bit(8)": ["postgresql bit(1)", "postgresql bit(3)"],
        "mariadb float(7,2)": [
            "postgresql smallint", "postgresql numeric(3,-2)", "postgresql boolean",
            "mariadb tinyint(4)", "mariadb tinyint(3) unsigned", "mariadb smallint(6)",
            "mariadb year(4)",
        ],
        "mariadb decimal(65,30)": ["mariadb float(7,2)"],
        # what no value shows: these mean another thing
        "postgresql timestamp with time zone": [
            "postgresql timestamp without time zone", "postgresql timestamp(0) without time zone",
        ],
        "postgresql timestamp(3) with time zone": ["postgresql timestamp(0) without time zone"],
        "postgresql timestamp without time zone": [
            "postgresql timestamp with time zone", "postgresql timestamp(3) with time zone",
        ],
        "postgresql time with time zone": ["postgresql time(0) with time zone"],
        "postgresql interval(0)": ["postgresql interval year to month"],
        "postgresql cidr": ["mariadb inet6"],
    }.items()
    for source in sources
]  # fmt: skip
"""What is refused although none of the values would be changed."""
