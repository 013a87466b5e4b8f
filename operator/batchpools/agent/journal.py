"""Keeps on disk what a restarted agent must know: results that nobody acknowledged, and the highest epoch it has obeyed.

The runner remembers its own results; this file is for those that it cannot tell again, since the machine or the task container
was restarted too. Records are appended and not synced: they survive a crash of processes, not one of the machine's power.
"""

import logging
import os
import struct
from collections.abc import Iterable
from pathlib import Path

import msgspec

from batchpools.core.ended import Ended
from batchpools.core.execution_events import Restored, TellFinished

_log = logging.getLogger(__name__)

COMPACT_AT = 4 << 20  # bytes
_SETTLED_KEPT = 4096  # acknowledged ids that a compaction keeps


class _Record(msgspec.Struct, frozen=True, array_like=True, tag_field="t"):
    """Base of records."""


class _Epoch(_Record, frozen=True, tag=1):
    epoch: int


class _Finished(_Record, frozen=True, tag=2):
    execution_id: str
    task_name: str
    boot_id: str
    outcome: Ended


class _Settled(_Record, frozen=True, tag=3):
    execution_ids: list[str]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Epoch | _Finished | _Settled)


class Journal:
    """An append-only file, written anew when it has grown. A disk that is full or absent costs safety, not the node."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._epoch = 0
        self._finished: dict[str, _Finished] = {}
        self._settled: dict[str, None] = {}  # in order
        self._file: int | None = None
        self._size = 0

    def restore(self) -> Restored:
        """Read what a former life left, and open the file for this one."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            content = b""
        except OSError as error:
            _log.error("the journal cannot be read, a restart may lose results: %s", error)
            content = b""
        for record in _records(content):
            self._apply(record)
        self._compact()
        finished = tuple((one.execution_id, one.task_name, one.boot_id, one.outcome) for one in self._finished.values())
        return Restored(self._epoch, finished, tuple(self._settled))

    def epoch(self, epoch: int) -> None:
        """A leader of this epoch was obeyed."""
        if epoch > self._epoch:
            self._write(_Epoch(epoch))

    def finished(self, told: TellFinished) -> None:
        """A run has ended."""
        if told.execution_id not in self._finished:
            self._write(_Finished(told.execution_id, told.task_name, told.boot_id, told.outcome))

    def acknowledged(self, execution_ids: Iterable[str]) -> None:
        """Results are persisted."""
        if ids := [one for one in execution_ids if one in self._finished]:
            self._write(_Settled(ids))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    # ---------------------------------------------------------------- inside

    def _apply(self, record: _Epoch | _Finished | _Settled) -> None:
        match record:
            case _Epoch(epoch):
                self._epoch = max(self._epoch, epoch)
            case _Finished(execution_id):
                self._finished[execution_id] = record
            case _Settled(execution_ids):
                for one in execution_ids:
                    self._finished.pop(one, None)
                    self._settled[one] = None

    def _write(self, record: _Epoch | _Finished | _Settled) -> None:
        self._apply(record)
        if self._file is None:
            return
        framed = _frame(record)
        try:
            os.write(self._file, framed)
        except OSError as error:
            _log.error("the journal cannot be written, a restart may lose results: %s", error)
            self.close()
            return
        self._size += len(framed)
        if self._size > COMPACT_AT:
            self._compact()

    def _compact(self) -> None:
        """Write what still counts to a new file and put it in the old one's place."""
        self.close()
        self._settled = dict.fromkeys(list(self._settled)[-_SETTLED_KEPT:])
        records: list[_Record] = [_Epoch(self._epoch), *self._finished.values(), _Settled(list(self._settled))]
        content = b"".join(_frame(record) for record in records)
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_bytes(content)
            fresh.replace(self._path)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            _log.error("the journal cannot be written, a restart may lose results: %s", error)
        self._size = 0


def _frame(record: _Record) -> bytes:
    body = _ENCODER.encode(record)
    return struct.pack(">I", len(body)) + body


def _records(content: bytes) -> Iterable[_Epoch | _Finished | _Settled]:
    """Whole records from the beginning; a torn or foreign one ends them."""
    at = 0
    while at + 4 <= len(content):
        (size,) = struct.unpack_from(">I", content, at)
        body = content[at + 4 : at + 4 + size]
        if len(body) < size:
            return
        try:
            yield _DECODER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        at += 4 + size
