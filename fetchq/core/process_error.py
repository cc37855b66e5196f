"""Defines the error of a run whose processes die."""

from __future__ import annotations

__all__ = ["ProcessDiedError"]


class ProcessDiedError(RuntimeError):
    """The processes of a run cannot be started, or die again and again. The message is one line for people."""
