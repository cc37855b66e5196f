"""Derives options, environment variables and config keys from the fields of Settings and Display, and reads them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from fetchq.cli.completable import completions
from fetchq.cli.config_file import read_config
from fetchq.cli.display import Display
from fetchq.cli.sectioned_help import GroupedCommand, GroupedOption
from fetchq.cli.value_sources import PREFIX, check_variables, source_of, variable_of
from fetchq.comparison.options import PROCESSES, ComparisonOptions
from fetchq.core.option import SettingOption, option_of
from fetchq.core.settings import Settings, SettingsError
from fetchq.core.settings_pace import READ_TIMEOUT, read_timeout_beside

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from fetchq.store.manifest import StoredSettings

__all__ = [
    "GroupedCommand",
    "GroupedOption",
    "add_options",
    "build_settings",
    "read_comparison_options",
    "read_options",
    "usage_message",
    "variables",
]

T = TypeVar("T", Settings, Display, ComparisonOptions)
_FIELDS = [
    *fields(ComparisonOptions),
    *fields(Display),
    *(one for one in fields(Settings) if option_of(one).flags),  # `json` of Python callers is another one than --json
]


class _ValueType(click.ParamType[Any]):
    """The click type of an option. It checks the text with the parser of the setting, but does not convert it."""

    envvar_list_splitter = "\n"  # the variable of a repeatable option has one value, such as a header, on each line

    def __init__(self, spec: SettingOption, more: tuple[str, ...] = ()) -> None:
        """`more`: texts that are no values of the setting, and yet may be given."""
        self.name = "|".join((spec.metavar or "value", *more))
        self._spec = spec
        self._more = more

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in self._more:
            return value
        try:
            self._spec.parse((value,) if self._spec.repeatable else value)
        except ValueError as problem:
            self.fail(", ".join((str(problem), *self._more)), param, ctx)
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return completions((*self._spec.choices, *self._more), self._spec.metavar, incomplete)


class _SettingOption(GroupedOption):
    """The option of a setting. A wrong value that a variable has is an error that names the variable."""

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        try:
            return super().handle_parse_result(ctx, opts, args)
        except click.BadParameter as problem:
            if ctx.get_parameter_source(self.name) is not ParameterSource.ENVIRONMENT:
                raise
            raise click.UsageError(f"{variable_of(self)}: {problem.message}", ctx) from None


def add_options(
    command: Callable[..., Any],
    *,
    exclude: tuple[str, ...] = (),
    for_existing_run: bool = False,
    for_comparison: bool = False,
) -> Callable[..., Any]:
    """Add --config and the options of all settings to a command.

    `for_existing_run`: the help leaves out the defaults of settings that the run has stored. `for_comparison`: the
    options of a comparison are there, and each option of `Settings` may have several values, which come as a tuple.
    """
    config = GroupedOption(
        ["--config"], type=click.Path(), metavar="FILE", help="Settings in TOML; else fetchq.toml here or yours."
    )
    of_the_run = fields(Settings) if for_existing_run else ()
    offered = _FIELDS if for_comparison else [one for one in _FIELDS if one not in fields(ComparisonOptions)]
    # Where a comparison has an option of its own, such as --limit, the first one counts.
    named = {one.name: one for one in reversed(offered) if option_of(one).flags and one.name not in exclude}
    options = [
        _option(one, no_default=one in of_the_run, several=for_comparison and one in fields(Settings))
        for one in offered
        if named.get(one.name) is one
    ]
    for option in reversed([*options, config]):
        _attach(command, option)
    return command


def _attach(command: Callable[..., Any], option: click.Option) -> None:
    # The decorator click.option would do this, but it constructs the option itself.
    parameters: list[click.Parameter] = getattr(command, "__click_params__", [])
    parameters.append(option)
    command.__click_params__ = parameters  # type: ignore[attr-defined]  # an attribute of click's decorators


def _option(a_field: Field[Any], *, no_default: bool, several: bool = False) -> click.Option:
    spec = option_of(a_field)
    flag = isinstance(a_field.default, bool)
    *short, long = spec.flags
    kind = None if flag else _ValueType(spec, (PROCESSES,) if several and a_field.name == "mode" else ())
    option = _SettingOption(
        [a_field.name, *short, f"{long}/{_negative(long)}" if flag else long],
        type=kind,
        is_flag=flag,
        default=None,
        multiple=several or spec.repeatable,
        metavar=None if kind is None or spec.metavar is None else kind.name,
        envvar=list(_variables(a_field)),
        help=spec.help if no_default else _help(a_field, spec),
    )
    option.group = spec.group
    option.on_by_default = a_field.default is True
    return option


def _variables(a_field: Field[Any]) -> Iterable[str]:
    """The names of the variables that set a field: by its own name, and by that of its option."""
    names = (a_field.name, option_of(a_field).flags[-1][2:].replace("-", "_"))
    return dict.fromkeys(f"{PREFIX}{name.upper()}" for name in names)


def _negative(flag: str) -> str:
    """The form that switches off a flag that the environment or the config file has set."""
    name = flag.removeprefix("--")
    return f"--{name.removeprefix('no-')}" if name.startswith("no-") else f"--no-{name}"


def _help(a_field: Field[Any], spec: SettingOption) -> str:
    default = a_field.default
    if default is None or isinstance(default, bool | tuple):
        return spec.help
    text = spec.default_text or (f"{default:g}" if isinstance(default, float) else str(default))
    return f"{spec.help}  [{text}]"


def variables() -> set[str]:
    """The names of all variables that settings are read from."""
    return {name for one in _FIELDS if option_of(one).flags for name in _variables(one)}


def read_options(given: dict[str, Any], stored: StoredSettings | None = None, **fixed: Any) -> tuple[Settings, Display]:
    """The settings, from the options that click was `given`, the `stored` settings of a run, and the config file.

    Precedence: `fixed`, command line, environment, `stored`, config file, default. Raises `click.UsageError`, also if
    settings of the run that are not taken from its folder are not given again.
    """
    chosen = _chosen(given, {} if stored is None else stored.values)
    if stored is not None and (missing := [name for name in stored.not_taken if name not in chosen]):
        flags = ", ".join(option_of(one).flags[-1] for one in fields(Settings) if one.name in missing)
        again = "it" if len(missing) == 1 else "them"
        raise click.UsageError(f"the run was begun with {flags}, not to be taken from its folder: give {again} again")
    return build_settings(Settings, chosen | fixed), build_settings(Display, chosen)


def read_comparison_options(given: dict[str, Any]) -> ComparisonOptions:
    """How the comparison is to be made, as `read_options` reads the settings. Raises `click.UsageError`."""
    return build_settings(ComparisonOptions, _chosen(given, {}))


def _chosen(given: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    check_variables(variables())
    _resolve_format(given)
    chosen = read_config(given.pop("config", None), _FIELDS) | _still_chosen(stored, given)
    if given.get("format") is not None and not given.get("json"):
        chosen.pop("json", None)  # both set the format, and the option takes precedence
    # An option that was not given is None, or () if it is repeatable.
    chosen |= {name: value for name, value in given.items() if value not in (None, ())}
    if isinstance(data := chosen.get("data"), str) and data.startswith("@"):
        chosen["data"] = _read_data(data[1:])
    return chosen


def _still_chosen(stored: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The settings that a run has stored, without a read timeout that only follows from a timeout given anew."""
    if given.get("timeout") is None or "timeout" not in stored:
        return stored
    if stored.get("read_timeout") not in (READ_TIMEOUT, read_timeout_beside(stored["timeout"])):
        return stored  # the user chose it
    return {name: value for name, value in stored.items() if name != "read_timeout"}


def _resolve_format(given: dict[str, Any]) -> None:
    """Resolve --json and --format, which both set the format. The command line overrides the environment."""
    form = given.get("format")
    if not given.get("json") or form in (None, "jsonl") or not _is_typed("format"):
        return
    if _is_typed("json"):
        raise click.UsageError(f"--json: not together with --format {form}")
    given["json"] = None


def _is_typed(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def build_settings(kind: type[T], chosen: dict[str, Any]) -> T:
    """Make a Settings, a Display or a ComparisonOptions with the chosen values. Raises `click.UsageError`."""
    names = {one.name for one in fields(kind) if option_of(one).flags}
    try:
        return kind(**{name: value for name, value in chosen.items() if name in names})
    except SettingsError as problem:
        raise click.UsageError(usage_message(problem)) from None


def usage_message(problem: SettingsError) -> str:
    """The message of an error, with what has set the field in place of its name: an option, a variable or a key."""
    flags = {one.name: option_of(one).flags for one in _FIELDS}
    return f"{source_of(problem.name, flags.get(problem.name, (problem.name,))[-1])}: {problem.message}"


def _read_data(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as problem:
        raise click.UsageError(f"--data: {path!r} cannot be read: {os.strerror(problem.errno or 0)}") from None
