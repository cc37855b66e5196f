#!/usr/bin/env bash
# pyarrow 26.0.1, CPython 3.11.7: a column of 100 binary values of 1 MB, which are in memory already, is written to a
# Parquet file with `pyarrow.parquet.write_table` and data_page_size=65536: uncompressed, without dictionary and
# statistics.
#
# One would guess pages of one value each, and a few megabytes of memory: the documentation calls data_page_size the
# approximate size of a page, 1 MB unless it is set. The size of a page is looked at only after each write_batch_size
# values, which is 1024 unless it is set. So all 100 MB become one page, and are in memory twice while they are written:
# encoded, and as that page. With write_batch_size=1 it is as one would guess.
#
# Seen, as the most that pyarrow's pool of memory held beside the values:
#   data_page_size=65536, write_batch_size=1024: 200 MB
#   data_page_size=65536, write_batch_size=10: 20 MB
#   data_page_size=65536, write_batch_size=1: 2 MB
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
cat > "$folder/write.py" <<'PYTHON'
"""Prints the most megabytes that the pool held while the table was written."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq

SIZE, COUNT = 1_000_000, 100
offsets = pa.array(range(0, SIZE * COUNT + 1, SIZE), pa.int32()).buffers()[1]
table = pa.table({"body": pa.Array.from_buffers(pa.binary(), COUNT, [None, offsets, pa.py_buffer(bytes(SIZE * COUNT))])})
pq.write_table(
    table,
    sys.argv[1],
    compression="none",
    use_dictionary=False,
    write_statistics=False,
    data_page_size=65536,
    write_batch_size=int(sys.argv[2]),
)
print(pa.default_memory_pool().max_memory() // 1_000_000)
PYTHON
status=0
for expected in "1024 180 220" "10 15 40" "1 0 10"; do
    read -r batch least most <<<"$expected"
    held=$("$folder/venv/bin/python" "$folder/write.py" "$folder/one.parquet" "$batch")
    echo "data_page_size=65536, write_batch_size=$batch: $held MB"
    [ "$held" -ge "$least" ] && [ "$held" -le "$most" ] || status=1
done
exit "$status"
