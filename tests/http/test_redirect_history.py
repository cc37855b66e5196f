"""What an attempt keeps of the redirects that it follows."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

from support.factories import make_attempt, respond

from fetchq.core.settings import Settings
from fetchq.http.attempt import MAX_DRAINED, Attempt
from fetchq.http.redirect_history import MOST_ARCHIVED


def redirected(attempt: Attempt, body: bytes | None, *, location: str = "/b") -> None:
    """A redirect with this body, or with one that is too long to be read."""
    size = MAX_DRAINED + 1 if body is None else len(body)
    headers = [("Location", location), ("Content-Length", str(size)), ("X-Id", "1")]
    reads = respond(attempt, 302, headers, reason="Found")
    assert reads == (body is not None)
    if body is not None:
        attempt.on_data(body)
        attempt.on_end()
    attempt.follow_redirect()


def test_the_elapsed_times_of_the_hops_are_parts_of_the_elapsed_time_of_the_attempt() -> None:
    attempt = make_attempt()
    redirected(attempt, b"moved")
    redirected(attempt, None)
    assert attempt.history is not None
    hops = attempt.history.hops
    assert [hop.url for hop in hops] == ["http://example.org/", "http://example.org/b"]
    assert sum(hop.elapsed for hop in hops) <= sum(attempt.phases)
    assert attempt.history.archived == ()


def test_a_run_that_archives_also_keeps_request_and_response_of_each_hop_without_secrets(tmp_path: Path) -> None:
    settings = Settings(output=tmp_path / "run", save="warc", headers=["X-Key: SECRET", "Accept: a/b"])
    attempt = make_attempt(settings, url="http://me:SECRET@example.org/", body=b"x")
    redirected(attempt, b"moved")
    redirected(attempt, None)
    assert attempt.history is not None
    first, second = attempt.history.archived
    assert (first.url, first.method, first.with_body) == ("http://example.org/", "POST", True)
    assert first.head.startswith(b"POST / HTTP/1.1\r\nHost: example.org\r\n")
    assert b"Accept: a/b\r\n" in first.head
    assert b"SECRET" not in first.head
    assert (first.http_version, first.status, first.reason) == ("1.1", 302, "Found")
    assert (first.headers["x-id"], first.body, first.truncated) == ("1", b"moved", False)
    assert (second.method, second.with_body, second.body, second.truncated) == ("GET", False, b"", True)
    assert first.at.tzinfo is second.at.tzinfo is UTC


def test_of_a_redirect_with_a_very_long_head_only_what_leads_on_and_a_part_is_archived(tmp_path: Path) -> None:
    attempt = make_attempt(Settings(output=tmp_path / "run", save="warc"))
    cookies = [("Set-Cookie", f"c{number}={'c' * 4000}") for number in range(60)]
    respond(attempt, 302, [*cookies, ("Location", "/b"), ("Content-Length", "0")], reason="Found")
    attempt.on_end()
    attempt.follow_redirect()
    assert attempt.history is not None
    (redirect,) = attempt.history.archived
    kept = [*redirect.headers.items()]
    assert redirect.truncated
    assert kept == [*cookies[: len(kept) - 2], ("Location", "/b"), ("Content-Length", "0")]
    assert MOST_ARCHIVED - 5000 < sum(len(name) + len(value) for name, value in kept) <= MOST_ARCHIVED
