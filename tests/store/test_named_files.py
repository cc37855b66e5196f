"""Bodies under names of the user's own: whole or not there, each its own, nothing left that no record names."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.store import fetched, run_folder

from fetchq.core.disk import StorageError
from fetchq.core.model import Cause, Result
from fetchq.core.row_set import RowSet
from fetchq.store.folder import OWN_NAMES, RunFolder
from fetchq.store.sinks import body_store_for, named_files
from fetchq.store.sinks.base import BodyStore
from fetchq.store.sinks.naming import naming_of


def store_in(
    folder: RunFolder,
    template: str = "{filename}",
    *,
    flat: bool = False,
    generation: int = 0,
    done: tuple[int, ...] = (),
    mode_bits: int | None = None,
) -> BodyStore:
    naming = naming_of({"save": "files", "name": template, "output_flat": flat}, OWN_NAMES)
    store = body_store_for("files", folder.path, generation, mode_bits, naming)
    assert store is not None
    rows = RowSet()
    for row in done:
        rows.add(row)
    store.restore(None, rows)
    return store


def body(folder: RunFolder, index: int, path: str = "a.txt", *, own: str | None = None, **changes: Any) -> Result:
    """The Result of a row, whose body is its number."""
    fields = {"index": index, "url": f"http://example.org/{path}", "content_type": "text/plain"}
    result = fetched(folder, str(index).encode(), **(fields | changes))
    assert result._spool is not None
    result._spool.file_name = own
    return result


def files_in(folder: RunFolder, below: str = "files") -> dict[str, str]:
    """The content of each file."""
    found = [one for one in (folder.path / below).rglob("*") if one.is_file() and one.name != "names-journal"]
    return {str(one.relative_to(folder.path / below)): one.read_text() for one in sorted(found)}


def paths(results: list[Result]) -> list[str | None]:
    return [result.path for result in results]


@pytest.mark.parametrize(
    ("template", "path", "changes", "name"),
    [
        ("{filename}", "a/page.html?q=1", {}, "page.html"),
        ("{filename}", "a/", {"content_type": "text/html"}, "index.html"),
        ("{filename}", "a%20b.txt", {}, "a b.txt"),
        ("{filename}", "get", {"headers": "attachment; filename*=UTF-8''%c3%a9.pdf"}, "é.pdf"),
        ("{filename}", "get", {"own": "2026/report.pdf", "headers": "attachment; filename=x"}, "2026/report.pdf"),
        ("{filename}", "get", {"own": "../../.ssh/id"}, "_ssh/id"),
        ("{stem}-{index:04}{ext}", "all.tar.gz", {}, "all-0003.tar.gz"),
        ("{index}{ext}", "data", {"content_type": "application/json"}, "3.json"),
        ("{segment}", "page.html?q=1&r=a/b", {}, "page.html@q=1&r=a_b"),
        ("{segment}", "?q=1", {}, "index.html@q=1"),
        ("{segment}", "get", {"headers": "attachment; filename=x"}, "get"),
        ("{segment}", "get", {"own": "mine"}, "mine"),
        ("{host}/{path}", "a/b.html?x", {}, "example.org/a/b.html"),
        ("{host}/{path}", "a/../%2e%2e/%2fetc/", {}, "example.org/a/_etc/index.txt"),
        ("{host}/{path}", "x", {"url": "http://u:p@[2001:DB8::1]:8080/x#y"}, "2001_db8__1_8080/x"),
        ("{query}", "?a=b%2Fc", {}, "a=b_c"),
        ("{label}.txt", "", {"label": "Zpráva: 1/2"}, "Zpráva_ 1_2.txt"),
        ("{label}.txt", "", {}, "_txt"),
        ("{sha256:.6}", "", {}, "4e0740"),
        ("con", "", {}, "_con"),
    ],
)
def test_a_template_names_the_file(
    tmp_path: Path, template: str, path: str, changes: dict[str, Any], name: str
) -> None:
    folder = run_folder(tmp_path)
    changes = dict(changes)
    own, disposition = changes.pop("own", None), changes.pop("headers", "")
    changes["headers"] = [("content-disposition", disposition)] if disposition else []
    (result,) = store_in(folder, template).store([body(folder, 3, path, own=own, **changes)])
    assert result.path == f"files/{name}"
    assert files_in(folder) == {name: "3"}
    assert result._spool is None
    assert result.timing.store > 0


def test_a_name_that_is_taken_gets_a_number_in_this_batch_and_the_next_one(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder)
    first = store.store([body(folder, 1), body(folder, 0)])
    assert paths(first) == ["files/a.1.txt", "files/a.txt"]  # in the order of the list, not of the answers
    assert paths(store.store([body(folder, 2)])) == ["files/a.2.txt"]
    later = store_in(folder, done=(0, 1, 2))
    assert paths(later.store([body(folder, index) for index in range(3, 20)])) == [
        f"files/a.{number}.txt" for number in range(3, 20)
    ]
    assert set(files_in(folder).values()) == {str(index) for index in range(20)}


def test_a_file_and_a_folder_may_want_the_same_name(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder, "{path}")
    assert paths(store.store([body(folder, 0, "a"), body(folder, 1, "a/b"), body(folder, 2, "c/d")])) == [
        "files/a.1",  # in this batch, the folder was made before any file got its name
        "files/a/b",
        "files/c/d",
    ]
    assert paths(store.store([body(folder, 3, "c"), body(folder, 4, "c/d/e"), body(folder, 5, "c/d/f")])) == [
        "files/c.1",
        "files/c/d.1/e",
        "files/c/d.1/f",
    ]
    assert set(files_in(folder).values()) == set("012345")


def test_the_longest_names_are_shortened_and_the_deepest_folders_left_out(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder, "{path}")
    deep = "/".join(["d" * 100] * 20 + ["é" * 300 + ".html"])
    found = paths(store.store([body(folder, 0, deep), body(folder, 1, deep)]))
    assert set(files_in(folder).values()) == {"0", "1"}
    for path, ending in zip(found, (".html", ".1.html"), strict=True):
        assert path is not None
        assert path.endswith(f"é{ending}")
        assert len(path.encode()) < 800
        assert max(len(part.encode()) for part in path.split("/")) <= 255


def test_only_bodies_that_are_ok_get_the_name(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    failed = body(folder, 0, cause=Cause.STATUS, status=503)
    found = paths(store_in(folder).store([failed, body(folder, 1)]))
    assert found == ["bodies/000000/00000000-example.org-a.txt", "files/a.txt"]
    assert files_in(folder) == {"a.txt": "1"}


def test_a_row_that_is_fetched_again_leaves_its_earlier_file_alone(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    store_in(folder).store([body(folder, 0)])
    again = store_in(folder, generation=1)
    assert files_in(folder) == {"a.txt": "0"}
    assert paths(again.store([body(folder, 0)])) == ["files/a.1.txt"]
    store_in(folder, generation=1)  # the second try was not committed
    assert files_in(folder) == {"a.txt": "0"}


# --- flat in the run's folder ---


def test_flat_files_leave_the_names_of_the_run_alone(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder, "{segment}", flat=True)
    names = ["run.db", "LOCK", "tmp", "input", "names-journal", "report.html", "bodies"]
    found = paths(store.store([body(folder, index, name) for index, name in enumerate([*names, "x"])]))
    assert found == [*(f"_{name}" for name in names), "x"]


def test_flat_files_replace_nobody_s_file(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    (folder.path / "a.txt").write_text("mine")
    (folder.path / "b.txt").symlink_to(tmp_path / "nowhere")
    (folder.path / "sub").symlink_to(tmp_path)
    store = store_in(folder, "{path}", flat=True)
    found = paths(store.store([body(folder, 0), body(folder, 1, "b.txt"), body(folder, 2, "sub/c.txt")]))
    assert found == ["a.1.txt", "b.1.txt", "sub.1/c.txt"]
    store_in(folder, "{path}", flat=True)
    assert files_in(folder, ".") == {"a.txt": "mine"}
    assert not (tmp_path / "c.txt").exists()
    assert not (folder.path / "sub.1").exists()


# --- kills, and errors of the system ---


def test_what_no_record_names_is_swept_and_nothing_else(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder, "{path}")
    store.store([body(folder, 0, "x/a"), body(folder, 1, "x/b")])
    store.store([body(folder, 2, "x/c"), body(folder, 3, "y/d"), body(folder, 4, "x/e")])
    (folder.path / "files/x/e").unlink()
    (folder.path / "files/x/e").write_text("another program's")
    store_in(folder, "{path}", done=(0, 1, 2))
    assert files_in(folder) == {"x/a": "0", "x/b": "1", "x/c": "2", "x/e": "another program's"}
    assert not (folder.path / "files/y").exists()
    assert not (folder.path / "names-journal").exists()


def test_the_journal_goes_with_the_end_of_the_run(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder)
    store.store([body(folder, 0)])
    assert (folder.path / "names-journal").exists()
    store.finish()
    assert not (folder.path / "names-journal").exists()


@pytest.mark.parametrize(
    "line",
    [
        *[b"[0, 0, ", b"\xff", b"{}", b"[0, 0]", b"[0, 0, 1, 1, 1]", b"[" * 5000],
        *[b'[0, "a", "files/a.txt", 1, 1]', b'[0, 0, "/etc/hosts", 1, 1]', b'[0, 0, "tmp", 1, 1]'],
        *[b'[0, 0, "../precious", %d, %d]', b'[0, 0, "link", %d, %d]'],
    ],
)
def test_a_journal_from_somebody_else_deletes_nothing_outside_of_the_folder(tmp_path: Path, line: bytes) -> None:
    folder = run_folder(tmp_path)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (folder.path / "link").symlink_to(precious)
    found = precious.stat()
    (folder.path / "names-journal").write_bytes(line % (found.st_ino, found.st_mtime_ns) if b"%d" in line else line)
    store_in(folder, flat=True)
    assert precious.read_text() == "mine"
    assert (folder.path / "link").is_symlink()


@pytest.mark.parametrize("path", ["run.db", "RUN.DB", "./run.db", "lock"])
@pytest.mark.parametrize("flat", [True, False])
def test_a_journal_from_somebody_else_deletes_no_file_that_the_run_itself_needs(
    tmp_path: Path, path: str, flat: bool
) -> None:
    folder = run_folder(tmp_path)
    needed = folder.path / path
    needed.parent.mkdir(exist_ok=True)
    needed.write_text("needed")
    found = needed.stat()
    (folder.path / "names-journal").write_text(f"[0, 0, {json.dumps(path)}, {found.st_ino}, {found.st_mtime_ns}]")
    store_in(folder, flat=flat)
    assert needed.read_text() == "needed"


@pytest.mark.parametrize("step", ["link", "mkdir"])
def test_a_file_that_cannot_get_its_name_costs_its_own_row_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder, "{path}")
    _failing(monkeypatch, step, errno.EIO, only=1)
    found = store.store([body(folder, index, f"{index}/a") for index in range(3)])
    monkeypatch.undo()
    assert [result.cause for result in found] == [None, Cause.STORE, None]
    assert found[1].error == "the body cannot be stored: Input/output error"
    assert files_in(folder) == {"0/a": "0", "2/a": "2"}
    assert list(folder.temporary.iterdir()) == []


@pytest.mark.parametrize("step", ["link", "mkdir", "fsync"])
def test_a_full_disk_stops_the_run_and_leaves_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder, "{path}")
    _failing(monkeypatch, step, errno.ENOSPC, only=1)
    with pytest.raises((StorageError, OSError), match=os.strerror(errno.ENOSPC)):
        store.store([body(folder, index, f"{index}/a") for index in range(3)])
    monkeypatch.undo()
    folder.sweep()
    store_in(folder, "{path}")
    assert files_in(folder) == {}


def test_a_file_that_has_its_name_keeps_it_where_the_temporary_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder)
    _failing(monkeypatch, "unlink", errno.EIO, only=0)
    found = store.store([body(folder, 0), body(folder, 1)])
    assert paths(found) == ["files/a.txt", "files/a.1.txt"]
    assert len(list(folder.temporary.iterdir())) == 1


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_folder(tmp_path)
    _failing(monkeypatch, "link", errno.EOPNOTSUPP, only=None)
    store = store_in(folder)
    assert paths(store.store([body(folder, 0)])) == ["files/a.txt"]
    (folder.path / "files/a.1.txt").write_text("mine")
    store_of = named_files._move
    taken = iter([True])

    def move(file: str, target: str) -> None:
        if next(taken, False):
            (folder.path / "files/a.2.txt").write_text("another program's, just now")
        store_of(file, target)

    monkeypatch.setattr(named_files, "_move", move)
    assert paths(store.store([body(folder, 1)])) == ["files/a.3.txt"]
    assert list(folder.temporary.iterdir()) == []


def _failing(monkeypatch: pytest.MonkeyPatch, name: str, code: int, *, only: int | None) -> None:
    """Have the call number `only` fail, or each of them."""
    calls = [0]
    real = getattr(os, name)

    def call(*args: Any, **options: Any) -> Any:
        number = calls[0]
        calls[0] += 1
        if only in (None, number):
            raise OSError(code, os.strerror(code), "a file")
        return real(*args, **options)

    monkeypatch.setattr(os, name, call)


def test_a_name_that_only_the_file_system_takes_for_another_one_gets_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS, where A.txt and a.txt are one."""
    folder = run_folder(tmp_path)
    link, exists = os.link, os.path.lexists

    def lexists(path: str) -> bool:
        parent, _, name = path.rpartition("/")
        return exists(path) or (exists(parent) and name.lower() in {one.lower() for one in os.listdir(parent)})

    def linked(file: str, target: str, **options: Any) -> None:
        if lexists(target):
            raise FileExistsError(errno.EEXIST, "taken", target)
        link(file, target, **options)

    monkeypatch.setattr(os.path, "lexists", lexists)
    monkeypatch.setattr(os, "link", linked)
    found = paths(store_in(folder).store([body(folder, 0, "A.txt"), body(folder, 1, "a.txt")]))
    assert found == ["files/A.txt", "files/a.1.txt"]
    store_in(folder)
    assert files_in(folder) == {}


def test_files_and_folders_are_for_their_owner_alone_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    for mode_bits, file_bits, folder_bits in ((None, 0o600, 0o700), (0o644, 0o644, 0o755)):
        name = str(mode_bits)
        store_in(folder, "{path}", mode_bits=mode_bits).store([body(folder, 0, f"{name}/a")])
        assert (folder.path / f"files/{name}/a").stat().st_mode & 0o777 == file_bits
        assert (folder.path / f"files/{name}").stat().st_mode & 0o777 == folder_bits
