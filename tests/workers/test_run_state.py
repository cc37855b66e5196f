"""The state of a run only goes on, and the pool hears of every change."""

from __future__ import annotations

import pytest

from fetchq.workers.run_state import RunControl, RunState


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ([], RunState.RUNNING),
        (["stop"], RunState.DRAINING),
        (["abort"], RunState.ABORTING),
        (["stop", "abort"], RunState.ABORTING),
        (["abort", "stop"], RunState.ABORTING),
        (["stop", "end"], RunState.ENDED),
        (["end", "abort"], RunState.ENDED),
    ],
)
def test_a_run_goes_on_to_its_end_and_never_back(told: list[str], state: RunState) -> None:
    control = RunControl()
    for name in told:
        getattr(control, name)()
    assert control.state is state


def test_the_source_is_read_until_somebody_says_that_it_has_ended() -> None:
    control = RunControl()
    control.stop(end_source=False)
    control.abort(end_source=False)
    assert control.reads_source
    control.stop()
    assert not control.reads_source
    control.abort(end_source=False)
    assert not control.reads_source


def test_the_listener_hears_of_each_change_until_the_end_and_at_once_of_what_it_has_missed() -> None:
    heard: list[RunState] = []
    control = RunControl()
    control.listen(lambda: heard.append(control.state))
    assert heard == []
    control.stop()
    control.abort()
    control.end()
    control.abort()
    assert heard == [RunState.DRAINING, RunState.ABORTING, RunState.ENDED]
    late: list[RunState] = []
    control.listen(lambda: late.append(control.state))
    assert late == [RunState.ENDED]
