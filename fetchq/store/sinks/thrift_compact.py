"""Reads and writes what the Thrift compact protocol encodes, without a description of what it means.

A struct is a dict from the ids of its fields to pairs of a type and a value; a value of a list type is a pair of the
type of its items and their list. What is read and written again is the same, byte by byte, if it was encoded as
briefly as the protocol can. (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md)
"""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["Struct", "read_struct", "struct_bytes"]

Struct: TypeAlias = dict[int, tuple[int, Any]]

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _, _STRUCT = range(1, 13)
_NUMBERS = (_I16, _I32, _I64)
_LONG = 15
"""Written in place of a list's length that needs more than four bits."""


def read_struct(data: bytes, at: int) -> tuple[Struct, int]:
    """The struct that begins there, and where it ends. Raises ValueError, also for maps; IndexError where it is cut."""
    struct: Struct = {}
    number = 0
    while kind := data[at] & 15:
        delta, at = data[at] >> 4, at + 1
        if delta:
            number += delta
        else:
            number, at = _read_number(data, at)
        if kind in (_TRUE, _FALSE):
            struct[number] = kind, kind == _TRUE
        else:
            value, at = _read(data, at, kind)
            struct[number] = kind, value
    return struct, at + 1


def struct_bytes(struct: Struct) -> bytes:
    """The struct, encoded. Its fields must be in the order of their ids."""
    pieces = []
    last = 0
    for number, (kind, value) in struct.items():
        delta = number - last
        pieces.append(bytes([delta << 4 | kind]) if 0 < delta < 16 else bytes([kind]) + _number_bytes(number))
        if kind not in (_TRUE, _FALSE):
            pieces.append(_bytes(kind, value))
        last = number
    return b"".join(pieces) + b"\0"


def _read(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in _NUMBERS:
        return _read_number(data, at)
    if kind in (_TRUE, _FALSE, _BYTE):  # of a list, whose items take a byte each
        return data[at], at + 1
    if kind == _DOUBLE:
        return data[at : at + 8], at + 8
    if kind == _BINARY:
        size, at = _read_varint(data, at)
        return data[at : at + size], at + size
    if kind in (_LIST, _SET):
        count, of = data[at] >> 4, data[at] & 15
        at += 1
        if count == _LONG:
            count, at = _read_varint(data, at)
        items = []
        for _ in range(count):
            item, at = _read(data, at, of)
            items.append(item)
        return (of, items), at
    if kind == _STRUCT:
        return read_struct(data, at)
    raise ValueError(f"a value of the type {kind}")


def _bytes(kind: int, value: Any) -> bytes:
    if kind in _NUMBERS:
        return _number_bytes(value)
    if kind in (_TRUE, _FALSE, _BYTE):
        return bytes([value])
    if kind == _DOUBLE:
        return bytes(value)
    if kind == _BINARY:
        return _varint_bytes(len(value)) + bytes(value)
    if kind == _STRUCT:
        return struct_bytes(value)
    of, items = value
    count = len(items)
    head = bytes([count << 4 | of]) if count < _LONG else bytes([_LONG << 4 | of]) + _varint_bytes(count)
    return head + b"".join(_bytes(of, item) for item in items)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _varint_bytes(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    value, at = _read_varint(data, at)
    return value >> 1 ^ -(value & 1), at


def _number_bytes(value: int) -> bytes:
    return _varint_bytes(value << 1 if value >= 0 else (-value << 1) - 1)
