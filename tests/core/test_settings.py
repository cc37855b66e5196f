"""A Settings in hand is a valid one; a wrong one cannot be made, and the error says which field is to blame."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.factories import any_object, examples, make_plan

from fetchq.cli.display import Display
from fetchq.core.option import option_of
from fetchq.core.settings import Settings, SettingsError

FIELDS = {one.name: one for kind in (Settings, Display) for one in fields(kind)}

WRONG: dict[str, list[Any]] = {
    "mode": ["fast", None],
    "output": [3, "", "a\0b"],
    "save": ["paper", None],
    "name": ["../{filename}", "{fielname}", "", 5],
    "output_flat": ["maybe", None],
    "save_headers": ["maybe", None],
    "mode_bits": [644, "755", "044", "6666", "rw-r--r--", True],
    "resume": ["maybe", None],
    "overwrite": ["maybe", None],
    "dedupe": ["maybe", None],
    "robots": ["maybe", None],
    "per_host_by": ["network", 1, None],
    "refresh": [3, "", "a\0b"],
    "workers": [0, -1, "many", None],
    "processes": [0, "many", 1001, None, True],
    "timeout": [0, -1, "soon", float("inf"), "nothing"],
    "connect_timeout": [0, "-1"],
    "read_timeout": [0, "0s"],
    "deadline": [0, "never"],
    "min_speed": [-1, 1.5],
    "min_speed_time": [0],
    "per_host": [0, "many"],
    "host_interval": [-1, "soon", None],
    "rate": [0, "-1/s", "50/d", "fast", float("nan"), 2e6],
    "limit_rate": [0, "1M/h", "fast"],
    "adapt": ["maybe", None],
    "lookahead": [0, "all", None],
    "retries": [-1, "1.5"],
    "retry_wait": [-0.1, "a"],
    "retry_on": ["5xx", [99], None],
    "max_retry_after": [-1],
    "method": ["G ET", "CONNECT"],
    "head": ["maybe", None],
    "max_failures": [0, "some"],
    "fail_fast": ["maybe", None],
    "headers": [["no colon"], "no colon", [("Content-Length", "1")], None],
    "data": [5],
    "data_type": ["xml", None],
    "user_agent": ["a\r\nb"],
    "user": ["nobody"],
    "bearer": ["Bearer abc", "", "\xe9", 5],
    "cookie": ["a=\x00"],
    "cookie_jar": [5, ""],
    "report": [5, ""],
    "max_redirects": [-1],
    "location_trusted": ["perhaps"],
    "max_filesize": [0, "big"],
    "max_ratio": [0],
    "accept": ["2xx"],
    "accept_encoded": ["maybe"],
    "proxy": ["socks://h:1", "http://\u212a.example:1"],
    "cacert": ["/nonexistent/ca.pem"],
    "cert": ["/nonexistent/cert.pem"],
    "key": ["/nonexistent/key.pem"],
    "insecure": [2],
    "ipv4": ["x"],
    "ipv6": ["x"],
    "resolve": [["h:80"]],
    "dns_servers": ["dns.example.org", "", ["192.0.2.1:0"]],
    "trust_env": [None],
    "block_private": ["maybe", None],
    "allow_host": ["a.test:80", "10.0.0.1/8", 5, None],
    "deny_host": ["http://a.test", [None], None],
    "har": [5, ""],
    "trace": [5, ""],
    "auth": ["nobody", ("a",), ("a:b", "c"), 5],
    "cookies": [{"a": "b;c"}, {"a b": "c"}, {"a": None}, 5],
    "params": [{"a": {}}, [("a",)], {1: 2}, 5],
    "keep_body": ["x"],
    "record_bodies": ["x"],
    "input_format": ["xml"],
    "url_column": [5, None],
    "passed": [5, [""], ["label"]],
    "strict_columns": ["x"],
    "base_url": [5, "x", "ftp://a/", "http://", "http://a b", "http://a:b@c/"],
    "format": ["xml"],
    "json": ["x"],
    "include": [["cookies"], 5],
    "fields": ["urll", ["url", "nothing"], 5],
    "only": ["bad"],
    "limit": [0, "all"],
    "shuffle": [-2, "well"],
    "dry_run": ["x"],
    "log_file": [5, ""],
    "log_level": ["loud", None],
    "progress": ["spinner"],
    "quiet": ["x"],
    "verbose": ["x"],
    "no_color": ["x"],
}


def kind_of(name: str) -> type[Settings | Display]:
    return Display if name in Display.__dataclass_fields__ else Settings  # each has a `json`


WRONG_VALUES = [pytest.param(name, wrong, id=f"{name}={wrong}") for name, wrongs in WRONG.items() for wrong in wrongs]


@pytest.mark.parametrize("name", FIELDS)
def test_every_default_is_accepted_unchanged_by_its_own_parser(name: str) -> None:
    default = FIELDS[name].default
    assert option_of(FIELDS[name]).parse(default) == default
    assert getattr(kind_of(name)(), name) == default


@pytest.mark.parametrize("name", FIELDS)
def test_the_default_that_the_help_shows_is_the_default(name: str) -> None:
    option = option_of(FIELDS[name])
    assert option.default_text is None or option.parse(option.default_text) == FIELDS[name].default


@pytest.mark.parametrize(("name", "wrong"), WRONG_VALUES)
def test_a_wrong_value_is_refused_by_a_value_error_that_names_its_field(name: str, wrong: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        kind_of(name)(**{name: wrong})
    assert isinstance(caught.value, ValueError)
    assert caught.value.name == name
    assert str(caught.value) == f"{name}: {caught.value.message}"


def test_who_writes_0_for_no_limit_is_told_what_to_write() -> None:
    with pytest.raises(SettingsError, match="0 is not above 0; 'none' means no limit"):
        Settings(timeout=0)


def test_a_setting_that_there_is_not_is_refused_with_the_nearest_that_there_is() -> None:
    for kind, wrong, near in ((Settings, "wokers", "workers"), (Display, "quite", "quiet")):
        unchecked: Any = kind
        with pytest.raises(TypeError) as caught:
            unchecked(**{wrong: 1})
        assert str(caught.value) == (
            f"{kind.__name__}() got an unexpected keyword argument '{wrong}'; did you mean '{near}'?"
        )


def test_the_table_of_wrong_values_has_every_field() -> None:
    assert WRONG.keys() == FIELDS.keys()


@pytest.mark.parametrize("name", FIELDS)
@examples(25)
@given(given_value=any_object)
@example(given_value=10**400)
@example(given_value="9" * 400)
@example(given_value=[{}])
def test_whatever_a_field_is_given_it_has_a_value_then_or_there_is_a_settings_error(
    name: str, given_value: Any
) -> None:
    try:
        settings = kind_of(name)(**{name: given_value})
    except SettingsError as problem:
        assert problem.name in (name, "key")  # noqa: PT017  # most of what is generated is wrong
    else:
        assert replace(settings) == settings


@pytest.mark.parametrize(
    ("name", "given_value", "value"),
    [
        ("workers", "7", 7),
        ("timeout", "2m", 120.0),
        ("min_speed", "1k", 1000),
        ("retry_on", "500..503", frozenset({500, 501, 502})),
        ("retry_on", "+403,-500", frozenset({403, 408, 425, 429, 502, 503, 504})),
        ("accept", "+404,-206", frozenset(range(200, 300)) - {206} | {404}),
        ("method", "delete", "DELETE"),
        ("headers", ["A: b"], (("A", "b"),)),
        ("data", "text", b"text"),
        ("max_filesize", "1G", 1_000_000_000),
        ("insecure", "yes", True),
        ("resolve", ["h:1:127.0.0.1"], (("h", 1, "127.0.0.1"),)),
        ("deadline", None, None),
        ("include", ["headers", "headers"], ("headers",)),
    ],
)
def test_a_field_takes_the_text_a_person_would_type(name: str, given_value: Any, value: object) -> None:
    assert getattr(kind_of(name)(**{name: given_value}), name) == value


def test_the_least_values_are_accepted() -> None:
    settings = Settings(workers=1, retries=0, min_speed=0, retry_wait=0, max_redirects=0, max_filesize=1, max_ratio=1)
    assert (settings.workers, settings.retries, settings.max_redirects) == (1, 0, 0)


def test_the_defaults_are_those_of_the_interface() -> None:
    settings = Settings()
    assert (settings.mode, settings.workers, settings.retries, settings.max_redirects) == ("async", 10, 2, 10)
    assert (settings.timeout, settings.connect_timeout, settings.read_timeout) == (300, 10, 30)
    assert (settings.min_speed, settings.min_speed_time) == (100, 30)
    assert (settings.retry_wait, settings.max_retry_after) == (0.5, 120)
    assert settings.retry_on == {408, 425, 429, 500, 502, 503, 504}
    assert settings.accept == set(range(200, 300))
    assert (settings.max_filesize, settings.max_ratio) == (100_000_000, 1000)
    assert (settings.insecure, settings.trust_env, settings.accept_encoded) == (False, False, False)


@pytest.mark.parametrize(
    ("given_values", "read_timeout"),
    [
        ({"timeout": 120}, 120),
        ({"timeout": "2m"}, 120),
        ({"timeout": 300}, 300),
        ({"timeout": 5}, 30),
        ({"timeout": 120, "read_timeout": 10}, 10),
        ({"timeout": 120, "read_timeout": 30}, 30),
        ({"read_timeout": 40}, 40),
        ({"timeout": None}, None),
        ({"timeout": "none", "read_timeout": 10}, 10),
        ({"read_timeout": None}, None),
    ],
)
def test_the_read_timeout_is_at_least_the_timeout_where_only_that_is_given(
    given_values: dict[str, Any], read_timeout: float | None
) -> None:
    settings = Settings(**given_values)
    assert settings.read_timeout == read_timeout
    assert replace(settings, workers=3).read_timeout == read_timeout
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    "name", ["timeout", "connect_timeout", "read_timeout", "deadline", "per_host", "rate", "limit_rate"]
)
def test_none_is_no_limit_in_python_and_as_a_text(name: str) -> None:
    assert getattr(Settings(**{name: None}), name) is None
    assert getattr(Settings(**{name: "None"}), name) is None


def test_every_field_but_the_librarys_own_has_an_option_of_its_own() -> None:
    flags = [flag for one in FIELDS.values() for flag in option_of(one).flags]
    assert len(flags) == len(set(flags))
    own = [name for name, one in FIELDS.items() if not option_of(one).flags]
    assert own == ["auth", "cookies", "params", "keep_body", "record_bodies"]
    assert all(option_of(one).help.endswith((".", "port")) and option_of(one).group for one in FIELDS.values())


def test_both_families_of_addresses_cannot_be_the_only_one() -> None:
    with pytest.raises(SettingsError, match="ipv6: not together with ipv4"):
        Settings(ipv4=True, ipv6=True)


def test_a_key_needs_its_certificate(tmp_path: Path) -> None:
    (tmp_path / "key.pem").touch()
    with pytest.raises(SettingsError, match="key: a key needs its cert"):
        Settings(key=str(tmp_path / "key.pem"))
    (tmp_path / "cert.pem").touch()
    assert Settings(key=str(tmp_path / "key.pem"), cert=str(tmp_path / "cert.pem")).cert is not None


def test_the_body_is_put_into_a_record_in_one_form_only() -> None:
    with pytest.raises(SettingsError, match="include: text and base64"):
        Display(include=("text", "base64"))


def test_settings_do_not_change() -> None:
    settings = Settings()
    with pytest.raises(FrozenInstanceError):
        settings.workers = 5  # type: ignore[misc]


def test_a_changed_copy_is_checked_too() -> None:
    assert replace(Settings(), workers="3").workers == 3  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="workers"):
        replace(Settings(), workers=0)


def test_settings_can_be_pickled() -> None:
    settings = Settings(workers=3, headers=["A: b"], data="x", accept="404", resolve=["h:1:::1"])  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(settings)) == settings
    display = Display(include=("headers",), quiet=True)
    assert pickle.loads(pickle.dumps(display)) == display


def test_a_settings_error_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(SettingsError("workers", "too few")))
    assert (error.name, error.message, str(error)) == ("workers", "too few", "workers: too few")


# --- secrets ---


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user", "name:SECRET"),
        ("headers", ["Authorization: Bearer SECRET"]),
        ("headers", {"X-Api-Key": "SECRET"}),
        ("cookie", "session=SECRET"),
        ("data", "password=SECRET"),
        ("proxy", "http://user:SECRET@proxy:1"),
    ],
)
def test_the_repr_of_settings_shows_no_secret(name: str, value: Any) -> None:
    settings = Settings(**{name: value})
    assert "SECRET" not in repr(settings)
    assert "SECRET" not in str(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user", "SECRET"),
        ("headers", ["Authorization Bearer SECRET"]),
        ("proxy", "http://user:SECRET@proxy:1/path"),
    ],
)
def test_the_message_about_a_wrong_setting_shows_no_secret(name: str, value: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**{name: value})
    assert "SECRET" not in str(caught.value)


@examples(50)
@given(st.sampled_from(["user", "user_agent", "cookie"]), st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_a_text_that_is_accepted_can_be_sent(name: str, text: str) -> None:
    make_plan(Settings(**{name: "u:" + text}))  # type: ignore[arg-type]


def test_a_user_that_has_no_bytes_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="user"):
        Settings(user="name:\udc80")
