"""Write tables as Hugging Face datasets and pyarrow do: tables.py DIR"""
import sys

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

out = sys.argv[1]
N = 3000  # rows: more than are read at a time
chats = [
    {
        "messages": [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": f"a{i}"}],
        "meta": {"source": "x", "n": i},
        "tags": ["a", "b"] if i % 2 else None,
    }
    for i in range(N)
]
datasets.Dataset.from_list(chats).to_parquet(f"{out}/datasets.parquet")
table = pa.table({"prompt": [f"q{i}" for i in range(N)], "completion": [f"a{i}" for i in range(N)]})
for codec in ["none", "snappy", "gzip", "zstd"]:
    for version in ["1.0", "2.0"]:
        for dictionary in [True, False]:
            pq.write_table(table, f"{out}/{codec}-{version}-{dictionary}.parquet", compression=codec,
                           data_page_version=version, use_dictionary=dictionary, row_group_size=1000, data_page_size=4096)
turns = pa.array([[{"from": "human", "value": f"q{i}"}, {"from": "gpt", "value": f"a{i}"}] for i in range(N)])
pq.write_table(pa.table({"conversations": turns}), f"{out}/old-lists.parquet", use_compliant_nested_type=False)
