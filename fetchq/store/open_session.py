"""Opens a session: begins a run in a folder, or resumes the run in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

from fetchq.core.disk import close_on_error
from fetchq.inputs.sampling import chosen_seed
from fetchq.store.folder import FolderError, RunFolder
from fetchq.store.input_copy import PROGRAM_ROWS, RunInput, describe_inputs, open_input_rows, open_inputs
from fetchq.store.ledger import Ledger
from fetchq.store.ledger_connection import ledger_exists
from fetchq.store.manifest import check_matches, new_manifest, stored_inputs, stored_reading, stored_settings
from fetchq.store.refresh import check_refreshable
from fetchq.store.session import Session
from fetchq.store.wiping import wipe

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["session_for_rows", "session_for_sources", "session_in_folder"]


def session_for_sources(
    settings: Settings,
    arguments: Sequence[str],
    *,
    input_format: str | None = None,
    url_column: str = "url",
    passed: Sequence[str] = (),
    strict_columns: bool = False,
    limit: int | None = None,
    shuffle: int | None = None,
    base_url: str | None = None,
    stdin: BinaryIO | None = None,
) -> Session:
    """Begin the run in `settings.output`, or resume it if `settings.resume` is set.

    The other parameters are those of `open_sources`. Raises `FolderError`, `SourceError`, `StorageError`, OSError.
    """
    inputs = describe_inputs(arguments)
    reading: dict[str, Any] = {
        "input_format": input_format,
        "url_column": url_column,
        "passed": list(passed),
        "strict_columns": strict_columns,
        "base_url": base_url,
    }
    chosen = {"limit": limit, "shuffle": shuffle}
    reading |= {name: value for name, value in chosen.items() if value is not None}
    closing = ExitStack()
    with close_on_error(closing):
        session = _begin_or_resume(settings, inputs, reading, closing)
        session.read_from(_open_input(session, arguments, stdin))
    return session


def session_for_rows(settings: Settings) -> Session:
    """Begin or resume the run of a Python program, whose rows `Session.rows` takes. Raises as `session_for_sources`."""
    closing = ExitStack()
    with close_on_error(closing):
        session = _begin_or_resume(settings, [{"kind": PROGRAM_ROWS}], {}, closing)
        session.read_from(open_input_rows(session.ledger), more_rows=True)
    return session


def session_in_folder(path: str, *, refresh: str | None = None) -> Session:
    """Resume the run in a folder with the input that its ledger describes. Raises as `session_for_sources`.

    `refresh`: the folder of the run that it refreshes; without it, what is left is fetched whole.
    """
    closing = ExitStack()
    with close_on_error(closing):
        folder = RunFolder(path)
        if not folder.ledger.is_file() or not ledger_exists(folder.ledger):
            raise FolderError(f"there is no run in {path!r}")
        closing.enter_context(folder)
        ledger = Ledger.open(folder.ledger)
        closing.callback(ledger.close)
        if refresh is not None and stored_settings(ledger).refresh != os.path.abspath(refresh):
            raise FolderError(f"the run in {path!r} was begun with another --refresh")
        session = Session(folder, ledger, closing, refresh=refresh)
        of_program = stored_inputs(ledger)[0]["kind"] == PROGRAM_ROWS
        session.read_from(open_input_rows(ledger) if of_program else _open_input(session))
    return session


def _begin_or_resume(
    settings: Settings, inputs: list[dict[str, Any]], reading: dict[str, Any], closing: ExitStack
) -> Session:
    assert settings.output is not None
    if settings.refresh is not None:
        check_refreshable(settings.refresh, settings.output, settings.save)
    folder = RunFolder(settings.output)
    folder.check()
    folder.make()
    closing.enter_context(folder)
    has_run = not settings.overwrite and ledger_exists(folder.ledger)
    if has_run and not settings.resume:
        raise FolderError(f"{str(folder)!r} holds a run already: --resume goes on with it, --overwrite throws it away")
    if has_run:
        ledger = Ledger.open(folder.ledger)
        closing.callback(ledger.close)
        check_matches(folder, ledger, settings, inputs, reading)
    else:
        wipe(folder)
        if "shuffle" in reading:
            reading = reading | {"shuffle": chosen_seed(reading["shuffle"])}
        manifest = new_manifest(settings, inputs, reading)
        ledger = Ledger.create(folder.ledger, manifest, with_headers=settings.save_headers)
        closing.callback(ledger.close)
    return Session(folder, ledger, closing, refresh=settings.refresh)


def _open_input(session: Session, arguments: Sequence[str] = (), stdin: BinaryIO | None = None) -> RunInput:
    ledger = session.ledger
    return open_inputs(
        stored_inputs(ledger),
        session.folder,
        reading=stored_reading(ledger),
        arguments=arguments,
        stdin=stdin,
    )
