"""A process that does nothing but fetch keeps the memory that a batch of Results frees for the next one."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource

from fetchq.workers.process import tune_memory

def faults_of_batches():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        del [bytes(1000) for _ in range(1500)][:]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

tune_memory()
faults_of_batches()
print(faults_of_batches())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, whose thresholds this is about")
def test_what_a_batch_frees_is_not_given_back_to_the_system() -> None:
    """Otherwise, 50 batches of 1.5 MB cause 16,700 page faults."""
    command = [sys.executable, "-c", SCRIPT]
    assert int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) < 500
