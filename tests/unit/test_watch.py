"""Watching a folder: what happens is told once and in order, what is odd is counted, and nothing is left open."""

import gc
import os
import threading
from collections.abc import Iterator

import pytest

from protocell._waiter import BlockingWaiter, drive
from protocell._workspace.watch import IN_CREATE, MOST_EVENTS, Watch, parse, start
from protocell.entries import FilesystemEvent
from protocell.errors import BusyError, ClosedError, FileError
from tests.workspaces import Place, made_place, no_descriptor_left, no_free_descriptor


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    with no_descriptor_left():
        yield


@pytest.fixture
def place() -> Iterator[Place]:
    with made_place() as made:
        yield made


@pytest.fixture
def watch(place: Place) -> Iterator[Watch]:
    made = start(place.fd, ".")
    yield made
    made.stop()


def taken(watch: Watch) -> list[tuple[str, str]]:
    return [(str(event.type), event.name) for event in watch.take()]


def next_of(watch: Watch) -> FilesystemEvent | None:
    return drive(watch.next(BlockingWaiter()))


def test_what_happens_is_told_once_and_in_order(place: Place, watch: Watch):
    place.write("a", b"1")
    (place.path / "a").chmod(0o600)
    (place.path / "a").rename(place.path / "b")
    (place.path / "b").unlink()

    assert taken(watch) == [
        ("create", "a"),
        ("write", "a"),
        ("chmod", "a"),
        ("rename", "a"),
        ("create", "b"),
        ("remove", "b"),
    ]
    assert taken(watch) == []


def test_what_happens_in_folders_below_is_not_told(place: Place, watch: Watch):
    place.write("folder/a", b"1")

    assert taken(watch) == [("create", "folder")]


def test_names_that_are_not_printable_are_counted_and_long_ones_told(place: Place, watch: Watch):
    for name in (b"\xff\xfe", b"line\nbreak", b"\x1b[31m", "ü".encode(), b"x" * 255):
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=place.fd))

    assert taken(watch) == [("create", "ü"), ("create", "x" * 255)]
    assert watch.left_out == {"name not printable": 3}


def test_more_than_the_kernel_keeps_is_said_to_be_lost(place: Place, watch: Watch):
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as setting:
        queued = int(setting.read())
    if queued > 100_000:
        pytest.skip("the queue is too long to be filled here")
    descriptor = os.open("a", os.O_CREAT | os.O_WRONLY, dir_fd=place.fd)
    try:
        for number in range(queued):  # two kinds in turn, as equal ones are merged
            os.fchmod(descriptor, 0o600 | number % 2)
            os.write(descriptor, b"x")
    finally:
        os.close(descriptor)

    events = watch.take()
    while events[-1].type != "overflow":
        events += watch.take()

    assert (events[-1].name, len(events)) == ("", queued + 1)
    assert watch.take() == []
    place.write("b")
    assert taken(watch) == [("create", "b")]


def test_one_call_gives_no_more_than_it_says(place: Place, watch: Watch):
    for _ in range(12):
        for number in range(1000):
            place.write(f"{number}").unlink()
        assert len(watch.take()) <= MOST_EVENTS + 4096


def test_the_end_of_the_folder_ends_the_watch(place: Place):
    (place.path / "folder").mkdir()
    folder = os.open("folder", os.O_RDONLY, dir_fd=place.fd)
    watch = start(folder, "folder")
    os.close(folder)

    (place.path / "folder").rename(place.path / "other")
    (place.path / "other").rmdir()

    events = []
    while (event := next_of(watch)) is not None:
        events.append((str(event.type), event.name))
    assert [event for event in events if event[0] != "chmod"] == [("rename", "."), ("remove", ".")]
    assert watch.take() == []
    watch.stop()


def test_it_holds_no_descriptor_of_the_folder(place: Place):
    before = len(os.listdir("/proc/self/fd"))
    watch = start(place.fd, ".")
    assert len(os.listdir("/proc/self/fd")) == before + 1
    watch.stop()
    watch.stop()


def test_a_watch_that_was_stopped_tells_nothing(place: Place, watch: Watch):
    place.write("a")
    watch.stop()

    with pytest.raises(ClosedError, match="this watch was stopped"):
        watch.take()
    assert next_of(watch) is None


def test_one_that_was_forgotten_is_closed(place: Place):
    watch = start(place.fd, ".")
    del watch
    gc.collect()


def test_another_thread_can_stop_who_waits(watch: Watch):
    ended: list[FilesystemEvent | None] = []
    reader = threading.Thread(target=lambda: ended.append(next_of(watch)))
    reader.start()

    watch.stop()
    reader.join(20)

    assert ended == [None]


def test_only_one_reads_at_a_time(place: Place, watch: Watch):
    waiting = threading.Event()

    class Telling(BlockingWaiter):
        async def wait(self, *arguments: object) -> set[int]:
            waiting.set()
            return await super().wait(*arguments)  # type: ignore[arg-type]

    found: list[FilesystemEvent | None] = []
    reader = threading.Thread(target=lambda: found.append(drive(watch.next(Telling()))))
    reader.start()
    assert waiting.wait(20)

    with pytest.raises(BusyError, match="another thread or task is reading this watch"):
        watch.take()
    place.write("a")
    reader.join(20)

    assert [event and event.name for event in found] == ["a"]


def test_a_file_is_not_watched_and_a_host_without_descriptors_says_so(place: Place):
    with place.write("a").open("rb") as file, pytest.raises(FileError, match="cannot be watched"):
        start(file.fileno(), "a")
    with no_free_descriptor(), pytest.raises(FileError, match="no inotify instance or descriptor"):
        start(place.fd, ".")


def test_events_that_are_cut_are_not_read_beyond_their_end():
    whole = (1).to_bytes(4, "little") + IN_CREATE.to_bytes(4, "little") + bytes(4)
    data = whole + (16).to_bytes(4, "little") + b"name".ljust(16, b"\0")

    assert list(parse(data)) == [(IN_CREATE, b"name")]
    assert list(parse(data + data[:15])) == [(IN_CREATE, b"name")]
    assert list(parse(b"")) == []
