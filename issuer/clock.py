"""The system's clock, and what speaks for or against it.

One event that is recorded with the clock years ahead would stop an authority until real time has caught up, since its
log never goes back. So the system's clock is compared with an independent one before anything is written: the server's,
with a store in PostgreSQL, or the machine's boot clock, which runs from one event to the next. How long an authority
was idle proves nothing by itself. Where there is no independent clock, as after a restart, the system's is doubted
beyond the end of everything that was signed, and never before 45 days after the last event.

A caller that gives a time or another clock vouches for it: then nothing is compared.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["AHEAD", "APART", "UNMARKED", "BootMark", "SystemClock", "boot_mark"]

AHEAD: Final = timedelta(hours=1)
"""A clock that is farther ahead of an independent one than this is doubted."""

APART: Final = timedelta(minutes=1)
"""So much the clocks of several hosts may differ."""

UNMARKED: Final = timedelta(days=45)
"""Without an independent clock, the system's is not doubted before so long after the last event."""

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_UPTIME: Final = Path("/proc/uptime")


class BootMark(NamedTuple):
    """A moment by the machine's boot clock: which boot, and whole seconds since; sleep counts."""

    boot: str
    uptime: int


def boot_mark() -> BootMark | None:
    """Now, by the machine's boot clock; None where the system has none.

    The kernel's files are read, as programs that change the time for a process move what the C library says.
    """
    try:
        boot, uptime = _BOOT.read_text("ascii").strip(), int(float(_UPTIME.read_text("ascii").split()[0]))
    except (OSError, ValueError, IndexError):
        return None
    return BootMark(boot[:64], uptime) if uptime >= 0 else None


def _system_time() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class SystemClock:
    """The system's clock: callable as any other, and compared with an independent one by the store.

    Attributes:
        is_right: Somebody has looked: it is right, whatever speaks against it. The store records that.
        was_wrong: Somebody has looked: it is right now, and was ahead when the last events were recorded. The store
            records that, and goes back.
    """

    def __init__(
        self,
        *,
        is_right: bool = False,
        was_wrong: bool = False,
        read: Callable[[], datetime] = _system_time,
        machine: Callable[[], BootMark | None] = boot_mark,
    ) -> None:
        """Take the system's clock.

        Args:
            is_right: See the class.
            was_wrong: See the class.
            read: Gives the time, aware UTC.
            machine: Gives the time by the boot clock.
        """
        self.is_right = is_right
        self.was_wrong = was_wrong
        self._read = read
        self._machine = machine

    def __call__(self) -> datetime:
        """The time, aware UTC."""
        return self._read()

    def mark(self) -> BootMark | None:
        """Now, by the machine's boot clock, or None."""
        return self._machine()
