"""How much guest code may use of everything: all limits are on, with defaults for everyday work.

Sizes are given as a number of bytes or as text: "512", "64k", "1.5 MiB", "2 GB". Units are binary
whatever their spelling, so "1k", "1 KB" and "1KiB" are all 1024 bytes: a limit that is 2.4 % too
wide is no harm, a unit that means one thing here and another there is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from protocell._fields import Converted, Settings, keep, quoted
from protocell.errors import PolicyError

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB
HOUR = 3600.0

_UNITS = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": TIB}
_SIZE = re.compile(
    r"\s*([0-9]{1,20}(?:\.[0-9]{1,9})?)\s*(?:([kmgt])(?:i?b)?|b)?\s*", re.IGNORECASE | re.ASCII
)

# Lowest and highest value allowed. Lower bounds are what a sandbox needs to start at all; upper
# bounds catch a slip (bytes for MiB, milliseconds for seconds); they do not judge what is wise.
_SECONDS = {
    "wall_seconds": (0.001, 24 * HOUR),
    "grace_seconds": (0.0, 60.0),
    "cpu_seconds": (0.001, 7 * 24 * HOUR),
}
_SIZES = {
    "memory_bytes": (16 * MIB, 16 * TIB),
    "file_bytes": (4 * KIB, 16 * TIB),
    "workspace_bytes": (64 * KIB, 16 * TIB),
    "tmp_bytes": (64 * KIB, 16 * TIB),
    "output_bytes": (1 * KIB, 1 * GIB),
    "output_total_bytes": (1 * KIB, 1 * TIB),
    "result_bytes": (1 * KIB, 64 * MIB),
    "results_bytes": (1 * KIB, 256 * MIB),
    "files_out_bytes": (0, 16 * TIB),
}
_COUNTS = {
    "processes": (1, 32_768),
    "open_files": (32, 1_048_576),
    "workspace_inodes": (16, 16_777_216),
    "files_out": (0, 100_000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Settings):
    """What one sandbox may use; change it with ``dataclasses.replace(limits, wall_seconds=5)``.

    Raises:
        PolicyError: a value is not allowed; the message names field, value and what is allowed.
    """

    wall_seconds: Converted[float, float] = Converted(30.0)
    """Time on the clock for one execution."""
    grace_seconds: Converted[float, float] = Converted(1.0)
    """Time between KeyboardInterrupt, which a stop begins with, and the kill that ends what goes on."""
    cpu_seconds: Converted[float, float] = Converted(60.0)
    """Processor time of all processes together, for one execution and what it leaves running."""
    memory_bytes: Converted[int | str, int] = Converted(1 * GIB)
    processes: int = 64
    """Processes and threads alive at once."""
    open_files: int = 256
    """Descriptors of each process."""
    file_bytes: Converted[int | str, int] = Converted(256 * MIB)
    """Size of any one file."""
    workspace_bytes: Converted[int | str, int] = Converted(512 * MIB)
    workspace_inodes: int = 16_384
    """Files, folders and links in the workspace."""
    tmp_bytes: Converted[int | str, int] = Converted(256 * MIB)
    """Size of /tmp, and of /dev/shm."""
    output_bytes: Converted[int | str, int] = Converted(1 * MIB)
    """Kept of standard output, and of standard error: half from the head, half from the tail."""
    output_total_bytes: Converted[int | str, int] = Converted(64 * MIB)
    """Written to both together; above it the execution ends with ``output_limit``."""
    result_bytes: Converted[int | str, int] = Converted(1 * MIB)
    """Sent of one value that is shown, all of its forms together; what is over becomes a file in the workspace."""
    results_bytes: Converted[int | str, int] = Converted(8 * MIB)
    """The same for all values that one execution shows."""
    files_out: int = 256
    """Files reported as made or changed by one execution."""
    files_out_bytes: Converted[int | str, int] = Converted(256 * MIB)
    """Bytes of such files together."""

    def __post_init__(self) -> None:
        for field, (lowest, highest) in _SECONDS.items():
            keep(self, field, _seconds(field, getattr(self, field), lowest, highest))
        for field, (fewest, most) in _SIZES.items():
            keep(self, field, _size(field, getattr(self, field), fewest, most))
        for field, (fewest, most) in _COUNTS.items():
            _check_count(field, getattr(self, field), fewest, most)

    def __str__(self) -> str:
        return (
            f"wall {format_seconds(self.wall_seconds)}, "
            f"grace {format_seconds(self.grace_seconds)}, CPU {format_seconds(self.cpu_seconds)}, "
            f"memory {format_size(self.memory_bytes)}, {self.processes} processes, "
            f"{self.open_files} open files, {format_size(self.file_bytes)} per file, "
            f"workspace {format_size(self.workspace_bytes)} and {self.workspace_inodes} inodes, "
            f"tmp {format_size(self.tmp_bytes)}, "
            f"output {format_size(self.output_bytes)} kept of each stream and "
            f"{format_size(self.output_total_bytes)} written, "
            f"result {format_size(self.result_bytes)} each and "
            f"{format_size(self.results_bytes)} together, "
            f"{self.files_out} files and {format_size(self.files_out_bytes)} out"
        )


def parse_size(given: int | str) -> int:
    """The number of bytes that a size means: ``262144``, ``"256k"``, ``"1.5 GiB"``.

    Raises:
        PolicyError: it is not a size.
    """
    if isinstance(given, int) and type(given) is int and given >= 0:
        return given
    match = _SIZE.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise PolicyError(
            f"{quoted(given)} is not a size; write bytes or text as in '256MiB' or '64k'"
        )
    number, unit = match.group(1), _UNITS[(match.group(2) or "").lower()]
    return round(float(number) * unit) if "." in number else int(number) * unit


def format_size(size: int) -> str:
    """A size for people, in the largest unit in which ``parse_size`` reads it back exactly."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        text = f"{size / unit:.3f}".rstrip("0").rstrip(".")
        if size >= unit and float(text) * unit == size:
            return f"{text} {name}"
    return f"{size} bytes" if size != 1 else "1 byte"


def format_seconds(seconds: float) -> str:
    """A time for people, without a trailing zero: ``30 s``, ``0.25 s``."""
    return f"{seconds:.10g} s"


def _seconds(field: str, value: object, lowest: float, highest: float) -> float:
    allowed = f"{lowest:g} to {highest:g} seconds"
    if not isinstance(value, int | float) or type(value) is bool:
        raise PolicyError(f"{field} is {quoted(value)}; allowed is a number, {allowed}")
    if not lowest <= value <= highest:  # NaN compares false with both
        raise PolicyError(f"{field} is {quoted(value)}; allowed is {allowed}")
    return float(value)


def _size(field: str, value: object, fewest: int, most: int) -> int:
    allowed = f"{format_size(fewest)} to {format_size(most)}"
    if not isinstance(value, int | str) or type(value) is bool:
        raise PolicyError(
            f"{field} is {quoted(value)}; allowed is {allowed}, as a number or text like '256MiB'"
        )
    try:
        size = parse_size(value) if isinstance(value, str) else int(value)
    except PolicyError as odd:
        raise PolicyError(f"{field}: {odd}; allowed is {allowed}") from None
    if not fewest <= size <= most:
        raise PolicyError(f"{field} is {quoted(value)}; allowed is {allowed}")
    return size


def _check_count(field: str, value: object, fewest: int, most: int) -> None:
    if type(value) is not int or not fewest <= value <= most:
        allowed = f"a whole number, {fewest} to {most}"
        raise PolicyError(f"{field} is {quoted(value)}; allowed is {allowed}")
