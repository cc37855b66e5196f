"""Says in one sentence what limited a run, and what would make it faster."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What limited a run."""

    bottleneck: str
    """What limited it, from a closed list; "none" for a run without a limit, "unknown" where the data do not tell."""
    text: str
    """The sentence that is shown."""
    share: float = 0.0
    """The share of the workers' time that it took, from 0 to 1."""
    subject: str | None = None
    """The host, the function or the setting that it is about."""
    advice: dict[str, str] | None = None
    """Settings, by name, with the values that would help; None where no setting would."""
    predicted: float | None = None
    """Seconds that the run would take with `advice`; None where that cannot be told."""
