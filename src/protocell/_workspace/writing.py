"""Puts files into a workspace, in steps, between which a caller may stop.

What the host writes is not taken for the code's work. What was written stays when a later step fails.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager

from protocell._workspace.place import Place
from protocell._workspace.transfer import Source, write_all


@contextmanager
def opened(place: Place, path: str, *, mode: int | None = None) -> Iterator[int]:
    """A descriptor for writing to an empty file of the workspace; raises FileError."""
    _, (descriptor,) = place.ask("write", path, mode=mode)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_steps(place: Place, files: Sequence[tuple[str, Source]]) -> Generator[None]:
    """Write these files; raises FileError, PolicyError."""
    with place.written([path for path, _ in files]):
        for number, (path, source) in enumerate(files):
            if number:
                yield
            yield from _write(place, path, source)


def _write(place: Place, path: str, source: Source) -> Generator[None]:
    with closing(source.chunks()) as chunks:
        # Before anything is changed: a file of the host that cannot be read changes nothing.
        chunk = next(chunks, None)
        with opened(place, path) as descriptor:
            while chunk is not None:
                write_all(descriptor, chunk, path)
                chunk = next(chunks, None)
                if chunk is not None:
                    yield


def pour(place: Place, path: str, source: Source) -> Generator[None, object]:
    """Write chunks that are sent, one by one, until it is closed; raises FileError, PolicyError."""
    with place.written([path]), opened(place, path) as descriptor:
        while True:
            chunk = yield
            write_all(descriptor, source.bounded(chunk), path)
