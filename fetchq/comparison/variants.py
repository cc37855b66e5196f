"""Makes the variants of a comparison: every combination of the settings that have several values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from fetchq.comparison.options import PROCESSES
from fetchq.core.option import option_of
from fetchq.core.settings import DURABLE_GROUP, REPORTS_GROUP, Settings
from fetchq.reports.text import count_text

if TYPE_CHECKING:
    from dataclasses import Field

__all__ = ["ALL_MODES", "OF_ONE_RUN", "Plan", "plan_variants"]

_MOST_PROCESSES = 32
"""The most processes that the word stands for: each takes 50 MB, and half a second of a CPU to start."""
ALL_MODES = ("sync", "threads", "async")
"""The modes that are compared unless something else is asked for."""
OF_ONE_RUN: dict[str, Any] = {
    one.name: one.default for one in fields(Settings) if option_of(one).group in (DURABLE_GROUP, REPORTS_GROUP)
} | {"keep_body": False, "max_failures": None, "fail_fast": False}
"""Settings that a comparison overrides, since they name the files of one run, keep the bodies in memory, or end it."""

_FIELDS = {one.name: one for one in fields(Settings)}


@dataclass(frozen=True, slots=True)
class Plan:
    """A variant that is to be run."""

    name: str
    settings: Settings
    shown: Mapping[str, str]
    """The settings in which the variants differ, as text without secrets; and `mode` and `workers`."""


def plan_variants(given: Mapping[str, Sequence[object]], make: Callable[[dict[str, object]], Settings]) -> list[Plan]:
    """A variant for each combination of the settings with several values, in the order in which they are `given`.

    If none has several, and `mode` is not given, there is one for each mode. `make` makes the settings of a variant
    from a value of each given setting. Equal values make equal variants, which are numbered: "async", "async (2)".
    """
    same = {name: values[0] for name, values in given.items() if len(values) == 1}
    varied = {name: values for name, values in given.items() if len(values) > 1}
    if not varied and "mode" not in same:
        varied = {"mode": ALL_MODES}
    plans = []
    seen: Counter[str] = Counter()
    for values in product(*varied.values()):
        chosen = dict(zip(varied, values, strict=True))
        settings = _settings(same | chosen, make)
        texts = {
            name: _text(_FIELDS[name], getattr(settings, name), value, varied[name]) for name, value in chosen.items()
        }
        mode = str((same | chosen).get("mode", settings.mode))
        name = ", ".join(_labels(texts)) or mode
        seen[name] += 1
        numbered = name if seen[name] == 1 else f"{name} ({seen[name]})"
        plans.append(Plan(numbered, settings, {"mode": mode, "workers": str(settings.workers), **texts}))
    return plans


def _settings(values: dict[str, object], make: Callable[[dict[str, object]], Settings]) -> Settings:
    if values.get("mode") != PROCESSES:
        return make(values)
    settings = make(values | {"mode": "sync"})
    return settings if settings.processes > 1 else replace(settings, processes=min(settings.workers, _MOST_PROCESSES))


def _text(one: Field[object], value: object, given: object, all_given: Sequence[object]) -> str:
    """A value of a setting as text: as it was given, but for a secret, which is only numbered."""
    if not one.repr:
        return f"#{list(dict.fromkeys(map(repr, all_given))).index(repr(given)) + 1}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(given)


def _labels(texts: Mapping[str, str]) -> Iterator[str]:
    """What the name of a variant says of its settings."""
    for name, text in texts.items():
        if name == "mode":
            yield text
        elif name == "workers" and text.isdecimal():
            yield count_text(int(text), "worker")
        elif name == "processes" and text.isdecimal():
            yield f"{text} process{'' if text == '1' else 'es'}"
        else:
            flag = (option_of(_FIELDS[name]).flags or (name,))[-1].removeprefix("--").removeprefix("no-")
            yield {"yes": flag, "no": f"no {flag}"}.get(text, f"{flag} {text}")
