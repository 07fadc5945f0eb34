"""Copy a table by dlt and print how many seconds it took; run by the interpreter that has dlt.

    python _dlt_copy.py SOURCE_URL TARGET_URL SCHEMA TABLE BACKEND replace|merge

The backend is that of dlt's SQL source. Everything else is as dlt has it by default.
"""

import sys
import time

import dlt
import sqlalchemy
from dlt.sources.sql_database import sql_table

_DRIVERS = {"postgresql": "postgresql+psycopg2", "mysql": "mysql+pymysql"}


def main() -> None:
    """Copy the table; raise what dlt raises, also when one of its load jobs failed."""
    source, target, schema, table, backend, disposition = sys.argv[1:]
    began = time.perf_counter()
    url = sqlalchemy.make_url(source)
    engine = sqlalchemy.create_engine(url.set(drivername=_DRIVERS[url.drivername]))
    pipeline = dlt.pipeline("copy", destination=_postgres(target), dataset_name=schema)
    rows = sql_table(engine, table, backend=backend)
    pipeline.run(rows, write_disposition=disposition, primary_key="id").raise_on_failed_jobs()
    print(time.perf_counter() - began)


def _postgres(target: str) -> object:
    """Return dlt's destination: it wants these three, of which libpq prefers those of the query."""
    url = sqlalchemy.make_url(target).set(username="any", password="any", host="localhost")
    return dlt.destinations.postgres(url.render_as_string(hide_password=False))


if __name__ == "__main__":
    main()
