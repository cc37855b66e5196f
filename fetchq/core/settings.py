"""Defines `Settings`: the checked settings of a run, and which of them contradict each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fetchq.core.host_patterns import is_network
from fetchq.core.option import HiddenValues, SettingsError
from fetchq.core.settings_fields import DURABLE_GROUP, REPORTS_GROUP, SettingsFields
from fetchq.core.settings_pace import MODES, read_timeout_beside

if TYPE_CHECKING:
    from typing import Unpack

    from fetchq.core.settings_kwargs import SettingsKwargs

__all__ = ["DURABLE_GROUP", "MODES", "NO_PROXY_WITH", "REPORTS_GROUP", "Settings", "SettingsError", "hidden_settings"]

NO_PROXY_WITH = "not together with block_private, or with a network in allow_host or deny_host"
"""The beginning of the error for a proxy that would connect to addresses which the run has to check."""
MOST_THREADS = 1000
"""The most workers in the modes `threads` and `sync`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(SettingsFields):
    """How a run fetches. Times are in seconds, sizes in bytes. Raises `SettingsError` (a ValueError)."""

    if TYPE_CHECKING:  # the fields have the types of the parsed values; callers may pass other types, too

        def __init__(self, **given: Unpack[SettingsKwargs]) -> None: ...

    def __post_init__(self) -> None:
        super(Settings, self).__post_init__()  # slots=True makes a new class, for which super() without arguments fails
        if "timeout" in self._given and "read_timeout" not in self._given:
            object.__setattr__(self, "read_timeout", read_timeout_beside(self.timeout))
        _resolve(self)
        _check_together(self)

    @property
    def most_failures(self) -> int | None:
        """After how many failed rows the run ends; None for no limit."""
        return 1 if self.fail_fast else self.max_failures

    @property
    def stores(self) -> bool:
        """Whether bodies are stored in the run's folder."""
        return self.output is not None and self.save != "none"

    @property
    def spools(self) -> bool:
        """Whether bodies are spooled: for the run's folder, or for records that include them."""
        return self.record_bodies or self.stores

    @property
    def names_files(self) -> bool:
        """Whether a template names the files of bodies."""
        return self.stores and (self.name is not None or self.output_flat)

    @property
    def archives(self) -> bool:
        """Whether the requests that were sent are stored with the bodies, as a web archive needs."""
        return self.stores and self.save == "warc"

    @property
    def checks_addresses(self) -> bool:
        """Whether it depends on its address if a host may be connected to, so that no proxy may connect to it."""
        return self.block_private or any(map(is_network, (*self.allow_host, *self.deny_host)))

    @property
    def keeps_exchanges(self) -> bool:
        """Whether each Result keeps its exchanges, for `har` and `trace`."""
        return self.har is not None or self.trace is not None


def hidden_settings(given: HiddenValues) -> Settings:
    """The settings of these keyword arguments. Raises `SettingsError`, without the frames in which it was raised.

    Their variables have the values of all arguments, and some tools show the variables of a traceback.
    """
    try:
        return Settings(**given)  # which checks the names, too
    except SettingsError as found:
        problem = found.with_traceback(None)
    raise problem


def _check_processes(settings: Settings) -> None:
    """Raises `SettingsError` for what several processes cannot share."""
    if settings.processes == 1:
        return
    if settings.cookie_jar is not None:
        raise SettingsError("processes", "not together with cookie_jar, whose cookies all rows share")
    if settings.per_host_by == "ip":
        raise SettingsError("processes", "not together with per_host_by=ip: which hosts share an address is not known")


_RESOLVED = {"auth": "user", "cookies": "cookie", "json": "data"}
"""Settings of Python callers, and those that they become."""


def _resolve(settings: Settings) -> None:
    """Raises `SettingsError` where both of two settings are given that mean the same."""
    for name, other in _RESOLVED.items():
        if (value := getattr(settings, name)) is None:
            continue
        if getattr(settings, other) is not None:
            raise SettingsError(name, f"not together with {other}")
        object.__setattr__(settings, other, value)
        object.__setattr__(settings, name, None)
        if name == "json":
            object.__setattr__(settings, "data_type", "json")


def _check_together(settings: Settings) -> None:
    """Raises `SettingsError`, which names one setting, where two of them contradict each other."""
    if settings.fail_fast and settings.max_failures is not None:
        raise SettingsError("fail_fast", "not together with max_failures")
    if settings.head and (settings.method is not None or settings.data is not None):
        raise SettingsError("head", f"not together with {'method' if settings.method is not None else 'data'}")
    if settings.head and settings.refresh is not None:
        raise SettingsError("head", "not together with refresh, which keeps bodies")
    if settings.ipv4 and settings.ipv6:
        raise SettingsError("ipv6", "not together with ipv4")
    if settings.mode != "async" and settings.workers > MOST_THREADS:
        raise SettingsError("workers", f"at most {MOST_THREADS} in mode {settings.mode}")
    _check_processes(settings)
    if settings.dns_servers and settings.mode != "async":
        raise SettingsError(
            "dns_servers", f"in mode {settings.mode} the system looks names up, and asks its own servers"
        )
    if settings.per_host_by == "ip" and settings.proxy is not None:
        raise SettingsError("per_host_by", "ip does not go with a proxy, which looks the names up by itself")
    if settings.checks_addresses and settings.proxy is not None:
        raise SettingsError("proxy", f"{NO_PROXY_WITH}: the proxy connects by itself, to addresses that nobody checks")
    if settings.bearer is not None and settings.user is not None:
        raise SettingsError("bearer", "not together with user: both are the header Authorization")
    if settings.key is not None and settings.cert is None:
        raise SettingsError("key", "a key needs its cert")
    for name in ("name", "output_flat", "save_headers", "resume", "overwrite", "dedupe", "refresh"):
        if settings.output is None and getattr(settings, name):
            raise SettingsError(name, "it needs an output folder")
    for name in ("name", "output_flat"):
        if settings.save != "files" and getattr(settings, name):
            raise SettingsError(name, f"with save={settings.save}, bodies are no files of their own")
    if settings.resume and settings.overwrite:
        raise SettingsError("overwrite", "not together with resume")
