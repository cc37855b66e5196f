"""Runs a LocalCluster of Dask with two worker processes, and prints its address; it ends when stdin does."""

import sys

from distributed import LocalCluster


def main() -> None:
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # None would take port 8787
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
