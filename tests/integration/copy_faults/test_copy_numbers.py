"""Numbers as a watermark, which the server gives in one order and transactions commit in another.

Nobody can tell which of them are still to come: `lookback` alone covers those (docs/copies.md).
"""

import random
import threading
import time
from contextlib import closing

import pytest
from thorough import times

SECONDS = min(60, times(5))
COLUMNS = {"id": "integer", "note": "text"}
CREATE = {
    "postgresql": "create table orders (id bigserial primary key, note text)",
    "mysql": "create table orders (id bigint auto_increment primary key, note text)",
}
LOOKBACK = 300
PAIRS = pytest.mark.parametrize(
    "pair", ["other-pg to pg", "maria to pg", "other-pg to maria", "maria to maria"]
)


def prepared(copy, lookback):
    copy.source.execute(CREATE[copy.source.engine])
    copy.source.execute("insert into orders (note) values ('first')")
    copy.copies(
        "orders", "orders", mode="incremental", watermark="id", lookback=lookback, page_rows=100
    )
    copy.configure()
    process = copy.up()
    copy.succeed("orders")
    return process


@PAIRS
@pytest.mark.parametrize(("lookback", "lost"), [(2, []), (0, ["2|6c617465"])])
def test_a_number_that_comes_late_is_copied_if_it_is_looked_back_for(between, pair, lookback, lost):
    copy = between(pair)
    prepared(copy, lookback)
    with closing(copy.source.connect()) as late:
        late.cursor().execute("insert into orders (note) values ('late')")
        copy.source.execute("insert into orders (note) values ('soon')")
        copy.succeed("orders")
        late.commit()
    copy.succeed("orders")
    assert copy.difference("orders", columns=COLUMNS) == (lost, [])
    copy.change_to_full("orders")
    copy.succeed("orders")
    assert copy.difference("orders", columns=COLUMNS) == ([], [])


@PAIRS
def test_numbers_that_are_committed_out_of_order_are_all_copied(between, pair, seed):
    copy = between(pair)
    process = prepared(copy, LOOKBACK)
    numbers = Numbers(copy.source, seed)
    threads = [threading.Thread(target=numbers.write, args=(at,)) for at in range(5)]
    for thread in threads:
        thread.start()
    try:
        end, runs = time.monotonic() + SECONDS, 0
        while time.monotonic() < end:
            copy.succeed("orders")
            runs += 1
    finally:
        numbers.over.set()
        for thread in threads:
            thread.join(30)
    assert numbers.errors == []
    copy.succeed("orders")
    print(f"{numbers.latest} numbers, {numbers.late} late ones, {runs} runs")
    assert numbers.late, "else there was nothing to be lost"
    assert copy.difference("orders", columns=COLUMNS) == ([], [])
    assert "Traceback" not in process.text


class Numbers:
    """Writers of rows that the server numbers, who let nobody get ahead by more than the lookback.

    `late` counts the numbers that were committed after a larger one.
    """

    def __init__(self, side, seed):
        self._side, self._seed = side, seed
        self._changed = threading.Condition()
        self._open = {}
        self._committed = 0
        self.latest, self.late = 1, 0
        self.over = threading.Event()
        self.errors = []

    def write(self, who):
        rng = random.Random(f"{self._seed}/{who}")
        try:
            with closing(self._side.connect()) as connection, connection.cursor() as cursor:
                while not self.over.is_set():
                    self._transaction(who, connection, cursor, rng)
        except Exception as error:
            self.errors.append(error)
        finally:
            self._end(who, [])

    def _transaction(self, who, connection, cursor, rng):
        with self._changed:
            self._changed.wait_for(self._may_begin, 10)
            self._open[who] = self.latest
        mine = []
        for _ in range(rng.choice((1, 1, 2, 9))):
            mine.append(self._insert(cursor, rng))
            if rng.random() < 0.2:
                self.over.wait(rng.uniform(0, 0.4))
        if rng.random() < 0.1:
            connection.rollback()
            mine = []
        else:
            connection.commit()
        self._end(who, mine)

    def _may_begin(self):
        """Tell whether the numbers of a new transaction are near enough to those of the oldest."""
        return self.latest - min(self._open.values(), default=self.latest) < LOOKBACK - 60

    def _insert(self, cursor, rng):
        note = ("x" * rng.randrange(20),)
        if self._side.engine == "postgresql":
            cursor.execute("insert into orders (note) values (%s) returning id", note)
            (number,) = cursor.fetchone()
        else:
            cursor.execute("insert into orders (note) values (%s)", note)
            number = cursor.lastrowid
        with self._changed:
            self.latest = max(self.latest, number)
        return number

    def _end(self, who, mine):
        with self._changed:
            self._open.pop(who, None)
            self.late += sum(number < self._committed for number in mine)
            self._committed = max([self._committed, *mine])
            self._changed.notify_all()
