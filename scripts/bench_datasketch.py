"""Near duplicates by PyPI datasketch, a peer of `retort bench dataset`: the shingles, hash functions, bands and exact
check of dataset/clean. Prints how long it took and how many it found. By hand, for a file with one text per line:

    python bench_datasketch.py TEXTS
"""

import json
import sys
import time


def main(path: str) -> None:
    from datasketch import MinHash, MinHashLSH

    with open(path, encoding="utf-8") as file:
        data = [line.split() for line in file]
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
    print(json.dumps({"texts_per_second": len(data) / took, "found": found}))


if __name__ == "__main__":
    main(sys.argv[1])
