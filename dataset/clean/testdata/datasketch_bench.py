"""The work of BenchmarkNearDuplicates by PyPI datasketch (pip install datasketch): same texts in kind and number,
same shingles, hash functions, bands and exact check of what they propose.

    python datasketch_bench.py [TEXTS]
"""

import random
import sys
import time

from datasketch import MinHash, MinHashLSH


def texts(count: int) -> list[list[str]]:
    rng = random.Random(9)
    out, last = [], []
    for i in range(count):
        words = [f"w{rng.randrange(20000)}" for _ in range(50)]
        if i % 5 == 4:
            words = list(last)
            words[rng.randrange(len(words))] = "other"
        last = words
        out.append(words)
    return out


def main(count: int) -> None:
    data = texts(count)
    start = time.perf_counter()
    index = MinHashLSH(num_perm=120, params=(20, 6))
    kept: list[set[bytes]] = []
    found = 0
    for words in data:
        shingles = {" ".join(words[i : i + 3]).encode() for i in range(len(words) - 2)}
        sketch = MinHash(num_perm=120)
        sketch.update_batch(shingles)
        if any(len(shingles & kept[n]) >= 0.8 * len(shingles | kept[n]) for n in index.query(sketch)):
            found += 1
            continue
        index.insert(len(kept), sketch)
        kept.append(shingles)
    took = time.perf_counter() - start
    print(f"{count} texts, {found} near duplicates, {took:.2f} s, {count / took:.0f} texts/s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
