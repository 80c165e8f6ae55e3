"""Durable inserts by SQLite, a peer of `retort bench dataset`: write-ahead log, a sync for each transaction of 1,000 rows,
a unique index on the ID. Prints how long the inserts took, without the reading of the rows. By hand:

    python bench_sqlite.py ROWS.jsonl NEW.db
"""

import itertools
import json
import sqlite3
import sys
import time

BATCH = 1000


def rows(path: str):
    with open(path, encoding="utf-8") as file:
        for line in file:
            text = line.rstrip("\n")
            yield bytes.fromhex(json.loads(text)["id"].removeprefix("sha256:")), text


def main(source: str, target: str) -> None:
    db = sqlite3.connect(target, isolation_level=None)
    mode = db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        sys.exit(f"SQLite's journal is {mode!r}, not the write-ahead log")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA cache_size=-65536")  # 64 MiB: its default, 2 MB, is small for an index of a million
    db.execute("CREATE TABLE examples (position INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, example TEXT NOT NULL)")
    took = 0.0
    source_rows = rows(source)
    while batch := list(itertools.islice(source_rows, BATCH)):
        start = time.perf_counter()
        db.execute("BEGIN")
        db.executemany("INSERT OR IGNORE INTO examples (id, example) VALUES (?, ?)", batch)
        db.execute("COMMIT")
        took += time.perf_counter() - start
    count = db.execute("SELECT count(*) FROM examples").fetchone()[0]
    db.close()
    print(json.dumps({"examples_per_second": count / took, "examples": count}))


if __name__ == "__main__":
    main(*sys.argv[1:])
