"""The modes that tests are repeated in; `mode` and `engine_mode` are fixtures, too."""

from __future__ import annotations

import pytest

MODES = ("async", "threads", "sync")
ENGINE_MODES = ("async", "sync")
"""One for each engine: threads and sync share theirs."""

every_mode = pytest.mark.parametrize("mode", MODES)
each_engine = pytest.mark.parametrize("mode", ENGINE_MODES)
concurrent = pytest.mark.parametrize("mode", ["async", "threads"])
blocking = pytest.mark.parametrize("mode", ["threads", "sync"])
