"""Describes the settings as keyword arguments, so that type checkers can check calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, TypedDict

__all__ = ["OtherSettingsKwargs", "SettingsKwargs"]

Flag = bool | str
Integer = int | str
Number = float | str
Path = str | PathLike[str]
Statuses = int | str | Iterable[int]


class ModeKwargs(TypedDict, total=False):
    """The settings for which `compare` takes several values."""

    mode: str
    workers: Integer
    processes: Integer


class OtherSettingsKwargs(TypedDict, total=False):
    """All other settings."""

    timeout: Number | None
    connect_timeout: Number | None
    read_timeout: Number | None
    deadline: Number | None
    min_speed: Integer
    min_speed_time: Number

    per_host: Integer | None
    per_host_by: str
    host_interval: Number
    rate: Number | None
    limit_rate: Integer | None
    adapt: Flag
    robots: Flag
    lookahead: Integer

    retries: Integer
    retry_wait: Number
    retry_on: Statuses
    max_retry_after: Number

    method: str | None
    head: Flag
    headers: Mapping[str, str] | Iterable[str | tuple[str, str]]
    data: bytes | str | None
    data_type: str
    user_agent: str | None
    user: str | None
    bearer: str | None
    cookie: str | None
    cookie_jar: Path | None

    max_redirects: Integer
    location_trusted: Flag
    max_filesize: Integer
    max_ratio: Integer
    accept: Statuses
    accept_encoded: Flag
    max_failures: Integer | None
    fail_fast: Flag

    proxy: str | None
    cacert: Path | None
    cert: Path | None
    key: Path | None
    insecure: Flag
    ipv4: Flag
    ipv6: Flag
    resolve: Iterable[str | tuple[str, int, str]]
    dns_servers: str | Iterable[str]
    trust_env: Flag

    block_private: Flag
    allow_host: str | Iterable[str]
    deny_host: str | Iterable[str]

    output: Path | None
    save: str
    name: str | None
    output_flat: Flag
    save_headers: Flag
    mode_bits: Integer | None
    resume: Flag
    overwrite: Flag
    dedupe: Flag
    refresh: Path | None

    report: Path | None
    har: Path | None
    trace: Path | None

    auth: str | tuple[str, str] | None
    cookies: Mapping[str, str] | Sequence[tuple[str, str]] | str | None
    json: Any
    params: Mapping[str, Any] | Sequence[tuple[str, Any]] | str | None
    keep_body: Flag
    record_bodies: Flag


class SettingsKwargs(ModeKwargs, OtherSettingsKwargs, total=False):
    """The keyword arguments of `Settings`, `fetch_all`, `fetch_iter` and `fetch_all_sync`, all of them optional.

    Each takes the value itself, or the text that a person would type: `timeout=120`, `timeout="2m"`.
    """
