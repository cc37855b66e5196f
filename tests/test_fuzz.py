"""A second of what scripts/fuzz does for minutes."""

from __future__ import annotations

import fuzzing
import pytest
from fuzz_targets import TARGETS, Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.name))
def test_no_input_of_strangers_breaks_the_rules_of_a_parser(target: Target) -> None:
    assert fuzzing.fuzz(target, 1.0, number=16, most=40) >= 40
