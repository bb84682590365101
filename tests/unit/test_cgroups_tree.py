"""Finding and using cgroups in made-up trees: what depends on the layout of a machine, for layouts not at hand."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from protocell_guest.kernel import cgroup_leaf, cgroups
from protocell_guest.kernel.cgroup_tree import Absent, Hierarchy, find

V1 = ("memory", "pids")


def escaped(path: Path) -> str:
    return str(path).replace(" ", r"\040")


class Machine:
    """A made-up /proc and /sys/fs/cgroup."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mounts = [
            "22 1 0:20 / / rw - ext4 /dev/sda1 rw",
            "23 1 0:21 / /proc rw - proc proc rw",
        ]
        self.memberships: list[str] = []

    def mount_v1(self, *controllers: str, root: str = "/", point: str = "") -> Path:
        names = ",".join(controllers)
        place = self.root / (point or names)
        place.mkdir(parents=True, exist_ok=True)
        self.mounts.append(
            f"31 23 0:29 {root} {escaped(place)} rw shared:9 - cgroup cgroup rw,{names}"
        )
        return place

    def mount_v2(self, *, root: str = "/", point: str = "unified") -> Path:
        place = self.root / point
        place.mkdir(parents=True, exist_ok=True)
        self.mounts.append(
            f"41 23 0:38 {root} {escaped(place)} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
        )
        return place

    def be_in(self, path: str, *controllers: str) -> None:
        self.memberships.append(f"4:{','.join(controllers)}:{path}")

    def be_in_v2(self, path: str) -> None:
        self.memberships.append(f"0::{path}")

    def find(self, movable: Iterable[int] = ()) -> Hierarchy | Absent:
        mountinfo, own = self.root / "mountinfo", self.root / "cgroup"
        mountinfo.write_text("".join(f"{line}\n" for line in self.mounts))
        own.write_text("".join(f"{line}\n" for line in self.memberships))
        return find(movable=list(movable), mountinfo=str(mountinfo), own_cgroup=str(own))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "a machine")


def cgroup2(
    place: Path, *, controllers: str = "memory pids", hands_on: str = "", inside: Iterable[int] = ()
) -> Path:
    """Make a v2 cgroup as the kernel shows it."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "cgroup.type").write_text("domain\n")
    (place / "cgroup.controllers").write_text(f"cpu io {controllers}\n")
    (place / "cgroup.subtree_control").write_text(f"{hands_on}\n")
    (place / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in inside))
    return place


def v1(memory: Path, pids: Path) -> Hierarchy:
    return Hierarchy(version=1, places={"memory": str(memory), "pids": str(pids)})


def v2(place: Path, *crowd: int) -> Hierarchy:
    places = {"memory": str(place), "pids": str(place)}
    return Hierarchy(version=2, places=places, crowd=crowd)


# -- version 1 ----------------------------------------------------------------------------------------


def test_v1_is_found_below_our_own_cgroup_in_each_tree(machine: Machine):
    memory, pids = machine.mount_v1("memory"), machine.mount_v1("pids")
    (memory / "service" / "ours").mkdir(parents=True)
    machine.be_in("/service/ours", "memory")
    machine.be_in("/", "pids")

    assert machine.find() == v1(memory / "service" / "ours", pids)


def test_v1_controllers_may_share_a_tree(machine: Machine):
    both = machine.mount_v1("memory", "pids")
    (both / "ours").mkdir()
    machine.be_in("/ours", "memory", "pids")

    assert machine.find() == v1(both / "ours", both / "ours")


def test_v1_in_a_container_that_sees_its_own_part_of_the_tree(machine: Machine):
    memory = machine.mount_v1("memory", root="/docker/abc")
    pids = machine.mount_v1("pids", root="/docker/abc")
    (memory / "worker").mkdir()
    machine.be_in("/docker/abc/worker", "memory")
    machine.be_in("/docker/abc", "pids")

    assert machine.find() == v1(memory / "worker", pids)


def test_a_part_of_the_tree_with_a_similar_name_is_not_ours(machine: Machine):
    machine.mount_v1("memory", root="/docker/abc")
    machine.mount_v1("pids")
    machine.be_in("/docker/abcdef", "memory")
    machine.be_in("/", "pids")

    assert machine.find() == Absent(
        reason="the memory cgroup of this process is outside of what is mounted here",
        remedy="give the container a cgroup namespace of its own",
    )


def test_a_cgroup_above_our_namespace_is_not_ours(machine: Machine):
    machine.mount_v1("memory")
    machine.mount_v1("pids", "other")
    machine.be_in("/../pids,other", "memory")
    machine.be_in("/", "pids")

    found = machine.find()

    assert isinstance(found, Absent)
    assert found.reason == ("the memory cgroup of this process is outside of what is mounted here")


def test_v1_beside_an_empty_v2_is_v1(machine: Machine):
    machine.mount_v2()
    memory, pids = machine.mount_v1("memory"), machine.mount_v1("pids")
    machine.be_in_v2("/")
    machine.be_in("/", "memory")
    machine.be_in("/", "pids")

    assert machine.find() == v1(memory, pids)


def test_a_second_mount_is_tried_when_the_first_does_not_show_our_cgroup(machine: Machine):
    machine.mount_v1("memory", root="/elsewhere", point="first")
    memory, pids = machine.mount_v1("memory", point="second"), machine.mount_v1("pids")
    (memory / "ours").mkdir()
    machine.be_in("/ours", "memory")
    machine.be_in("/", "pids")

    assert machine.find() == v1(memory / "ours", pids)


# -- none ---------------------------------------------------------------------------------------------


def test_a_kernel_without_cgroups_is_told(tmp_path: Path):
    assert find(own_cgroup=str(tmp_path / "cgroup"), mountinfo=str(tmp_path / "m")) == Absent(
        reason="the kernel has no cgroups", remedy="use a kernel built with CONFIG_CGROUPS=y"
    )


def test_a_tree_that_is_not_mounted_is_told(machine: Machine):
    machine.mount_v1("memory")
    machine.be_in("/", "memory")

    assert machine.find() == Absent(
        reason="no cgroup tree with pids in it is mounted where this process can see it",
        remedy="mount one below /sys/fs/cgroup; in a container that is up to the runtime",
    )


# -- version 2 ----------------------------------------------------------------------------------------


def test_v2_nearest_cgroup_that_hands_its_controllers_on(machine: Machine):
    top = cgroup2(machine.mount_v2(), hands_on="cpu memory pids")
    app = cgroup2(top / "app.slice", hands_on="memory pids")
    cgroup2(app / "shell.scope", inside=[10, 20])
    machine.be_in_v2("/app.slice/shell.scope")

    assert machine.find() == v2(app)


def test_v2_our_own_cgroup_where_only_movable_processes_are_in_it(machine: Machine):
    top = cgroup2(machine.mount_v2(), hands_on="memory pids")
    ours = cgroup2(top / "ours.scope", inside=[10, 20])
    machine.be_in_v2("/ours.scope")

    assert machine.find(movable=[20, 10]) == v2(ours, 10, 20)


@pytest.mark.parametrize("strangers", [[30], [10, 0]], ids=["known", "of another pid namespace"])
def test_v2_a_cgroup_with_a_stranger_in_it_is_passed_over(machine: Machine, strangers: list[int]):
    top = cgroup2(machine.mount_v2(), hands_on="memory pids")
    cgroup2(top / "ours.scope", inside=[10, *strangers])
    machine.be_in_v2("/ours.scope")

    assert machine.find(movable=[10]) == v2(top)


def test_v2_an_empty_cgroup_needs_nobody_moved(machine: Machine):
    top = cgroup2(machine.mount_v2())
    middle = cgroup2(top / "middle")
    cgroup2(middle / "ours", inside=[99])
    machine.be_in_v2("/middle/ours")

    assert machine.find() == v2(middle)


def test_v2_the_root_cgroup_is_exempt_from_the_rule(machine: Machine):
    top = cgroup2(machine.mount_v2(), inside=[1, 2, 3])
    (top / "cgroup.type").unlink()
    machine.be_in_v2("/")

    assert machine.find() == v2(top)


def test_v2_the_search_does_not_begin_where_our_own_processes_were_put_aside(machine: Machine):
    top = cgroup2(machine.mount_v2(), hands_on="memory pids", controllers="")
    ours = cgroup2(top / "ours.scope", hands_on="memory pids")
    cgroup2(ours / "protocell-main", inside=[10])
    machine.be_in_v2("/ours.scope/protocell-main")

    assert machine.find(movable=[10]) == v2(ours)


def test_v2_a_cgroup_without_the_controllers_is_passed_over(machine: Machine):
    top = cgroup2(machine.mount_v2(), hands_on="memory pids")
    cgroup2(top / "ours.scope", controllers="pids", inside=[10])
    machine.be_in_v2("/ours.scope")

    assert machine.find(movable=[10]) == v2(top)


def test_v2_says_of_every_cgroup_on_the_way_why_not(machine: Machine):
    top = cgroup2(machine.mount_v2(), controllers="pids")
    middle = cgroup2(top / "middle", inside=[10, 20])
    ours = cgroup2(middle / "ours", controllers="")
    machine.be_in_v2("/middle/ours")

    found = machine.find(movable=[10])

    assert isinstance(found, Absent)
    assert found.reason == (
        f"cgroup v2: {ours} has no controller memory and pids;"
        f" {middle} has processes in it that are not ours to move (1); {top} has no controller memory"
    )
    assert found.remedy == (
        "start in a cgroup of your own: systemd-run --user --scope -p Delegate=yes COMMAND;"
        " for a service, Delegate=yes in its unit; in a container, a writable /sys/fs/cgroup"
    )


def test_v2_the_search_ends_at_the_part_that_is_mounted(machine: Machine):
    top = cgroup2(machine.mount_v2(root="/docker/abc"), controllers="")
    machine.be_in_v2("/docker/abc")

    found = machine.find()

    assert isinstance(found, Absent)
    assert found.reason == f"cgroup v2: {top} has no controller memory and pids"


def test_v2_a_cgroup_whose_files_are_not_ours_is_passed_over(machine: Machine):
    top = cgroup2(machine.mount_v2(), hands_on="memory pids")
    ours = cgroup2(top / "ours", inside=[10])
    (ours / "cgroup.subtree_control").unlink()
    machine.be_in_v2("/ours")

    assert machine.find(movable=[10]) == v2(top)


# -- limits ---------------------------------------------------------------------------------------------


def files(place: Path, *names: str) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for name in names:
        (place / name).write_text("")
    return place


def contents(place: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(place.iterdir())}


def limit(version: int, *places: Path) -> None:
    directories = dict(zip(V1, map(str, places), strict=True))
    cgroup_leaf.limit(version, directories, memory_bytes=1 << 30, processes=64)


def test_v1_limits_are_written_to_each_tree(tmp_path: Path):
    memory = files(
        tmp_path / "m",
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.oom_control",
        "memory.swappiness",
    )
    pids = files(tmp_path / "p", "pids.max")

    limit(1, memory, pids)

    assert contents(memory) == {
        "memory.limit_in_bytes": "1073741824",
        "memory.memsw.limit_in_bytes": "1073741824",
        "memory.oom_control": "0",
        "memory.swappiness": "0",
    }
    assert contents(pids) == {"pids.max": "64"}


def test_v1_without_an_account_of_swap_is_limited_all_the_same(tmp_path: Path):
    memory = files(tmp_path / "m", "memory.limit_in_bytes", "memory.oom_control")
    pids = files(tmp_path / "p", "pids.max")

    limit(1, memory, pids)

    assert contents(memory) == {"memory.limit_in_bytes": "1073741824", "memory.oom_control": "0"}


def test_v2_limits_are_written_to_the_one_tree(tmp_path: Path):
    place = files(
        tmp_path, "memory.max", "memory.oom.group", "memory.swap.max", "memory.high", "pids.max"
    )

    limit(2, place, place)

    assert contents(place) == {
        "memory.high": "",
        "memory.max": "1073741824",
        "memory.oom.group": "0",
        "memory.swap.max": "0",
        "pids.max": "64",
    }


@pytest.mark.parametrize(
    "version, there",
    [(1, ["memory.limit_in_bytes", "memory.oom_control"]), (2, ["memory.max"]), (2, ["pids.max"])],
)
def test_a_limit_that_the_kernel_does_not_offer_is_an_error(
    tmp_path: Path, version: int, there: list[str]
):
    place = files(tmp_path, *there)

    with pytest.raises(FileNotFoundError):
        limit(version, place, place)


# -- a leaf ---------------------------------------------------------------------------------------------


def descriptors() -> set[int]:
    """Descriptors that are open, without that of the listing itself."""
    found = {int(name) for name in os.listdir("/proc/self/fd")}
    return {number for number in found if os.path.exists(f"/proc/self/fd/{number}")}


def leaf_v1(tmp_path: Path) -> tuple[cgroups.Leaf, Path, Path]:
    memory = files(tmp_path / "m", "tasks")
    (memory / "memory.max_usage_in_bytes").write_text("33554432\n")
    (memory / "memory.usage_in_bytes").write_text("81920\n")
    control = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
    (memory / "memory.oom_control").write_text(control)
    pids = files(tmp_path / "p", "tasks")
    return cgroups.Leaf(1, {"memory": str(memory), "pids": str(pids)}), memory, pids


def leaf_v2(place: Path, *without: str) -> cgroups.Leaf:
    texts = {
        "cgroup.procs": "",
        "cgroup.kill": "",
        "memory.peak": "33554432\n",
        "memory.current": "81920\n",
        "memory.events": "low 0\nhigh 0\nmax 7\noom 4\noom_kill 3\noom_group_kill 1\n",
        "pids.peak": "9\n",
    }
    for name, text in texts.items():
        if name not in without:
            (place / name).write_text(text)
    return cgroups.Leaf(2, {"memory": str(place), "pids": str(place)})


def usage(leaf: cgroups.Leaf) -> tuple[Any, ...]:
    found = leaf.usage()
    return (found.peak_bytes, found.current_bytes, found.oom_kills, found.peak_processes)


def test_v1_counters_are_read_from_each_tree(tmp_path: Path):
    leaf, _, pids = leaf_v1(tmp_path)
    before = usage(leaf)
    leaf.close()
    (pids / "pids.peak").write_text("9\n")
    newer = cgroups.Leaf(1, {"memory": str(tmp_path / "m"), "pids": str(pids)})

    assert (leaf.layer, before) == ("cgroup-v1", (33554432, 81920, 3, None))
    assert usage(newer) == (33554432, 81920, 3, 9)
    newer.close()


def test_v2_counters_are_read_from_the_one_tree(tmp_path: Path):
    leaf = leaf_v2(tmp_path)

    assert (leaf.layer, usage(leaf)) == ("cgroup-v2", (33554432, 81920, 3, 9))
    leaf.close()


def test_v2_on_an_older_kernel_has_no_peak_to_tell_or_to_reset(tmp_path: Path):
    leaf = leaf_v2(tmp_path, "memory.peak", "pids.peak", "cgroup.kill")

    assert usage(leaf) == (None, 81920, 3, None)
    assert (leaf.reset_peak(), leaf.kill()) == (False, False)
    leaf.close()


def test_counters_are_read_anew_each_time(tmp_path: Path):
    leaf = leaf_v2(tmp_path)
    (tmp_path / "memory.current").write_text("4096\n")
    (tmp_path / "memory.events").write_text("oom_kill 4\n")

    assert usage(leaf) == (33554432, 4096, 4, 9)
    leaf.close()


def test_v1_is_entered_by_the_calling_thread_in_each_tree(tmp_path: Path):
    leaf, memory, pids = leaf_v1(tmp_path)
    leaf.enter()
    leaf.close()

    assert [(place / "tasks").read_text() for place in (memory, pids)] == ["0", "0"]


def test_v2_is_entered_by_the_calling_process_once(tmp_path: Path):
    leaf = leaf_v2(tmp_path)
    leaf.enter()
    leaf.close()

    assert (tmp_path / "cgroup.procs").read_text() == "0"


def test_v2_processes_are_killed_by_the_kernel(tmp_path: Path):
    leaf = leaf_v2(tmp_path)

    assert (leaf.kill(), (tmp_path / "cgroup.kill").read_text()) == (True, "1")
    leaf.close()


def test_every_descriptor_is_told_and_closed(tmp_path: Path):
    before = descriptors()
    leaf = leaf_v2(tmp_path)
    opened = descriptors() - before
    told = leaf.descriptors
    leaf.close()

    assert (set(told), len(told)) == (opened, 6)
    assert (leaf.descriptors, descriptors()) == ((), before)


def test_a_leaf_without_its_files_leaves_no_descriptor_open(tmp_path: Path):
    before = descriptors()
    files(tmp_path, "cgroup.procs")
    (tmp_path / "memory.peak").mkdir()

    with pytest.raises(IsADirectoryError):
        cgroups.Leaf(2, {"memory": str(tmp_path), "pids": str(tmp_path)})
    assert descriptors() == before


@pytest.mark.parametrize("name", ["box", "box-", "box-1/..", "../box-1", "box-1\n", "box-x", ""])
def test_a_leaf_has_a_name_that_sweep_knows(tmp_path: Path, name: str):
    places = {"memory": str(tmp_path), "pids": str(tmp_path)}
    group = cgroups.Group(cgroups.Hierarchy(version=2, places=places), "protocell-1-1")

    with pytest.raises(ValueError) as refused:
        group.create(name, memory_bytes=1, processes=1)
    assert str(refused.value) == (
        f"a leaf is called box-<n>, so that sweep knows it, and not {name!r}"
    )


# -- what a zygote leaves behind ------------------------------------------------------------------------


NOBODYS_PID = 2**22 + 1  # above the highest that a kernel gives out


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_directories_of_zygotes_that_are_gone_are_removed(tmp_path: Path):
    gone = tmp_path / f"protocell-{NOBODYS_PID}-5"
    (gone / "box-1").mkdir(parents=True)
    (gone / "box-22").mkdir()

    assert (cgroups.sweep(v2(tmp_path)), names(tmp_path)) == (1, [])


def test_a_later_process_with_the_zygotes_pid_does_not_keep_its_directory(tmp_path: Path):
    started = cgroups.start_time(os.getpid())
    (tmp_path / f"protocell-{os.getpid()}-{started - 1}").mkdir()

    assert (cgroups.sweep(v2(tmp_path)), names(tmp_path)) == (1, [])


def test_the_directory_of_a_living_zygote_stays(tmp_path: Path):
    alive = tmp_path / f"protocell-{os.getpid()}-{cgroups.start_time(os.getpid())}"
    (alive / "box-1").mkdir(parents=True)

    assert (cgroups.sweep(v2(tmp_path)), names(tmp_path), names(alive)) == (
        0,
        [alive.name],
        ["box-1"],
    )


@pytest.mark.parametrize(
    "name",
    [
        "protocell-main",
        f"protocell-{NOBODYS_PID}",
        f"protocell-{NOBODYS_PID}-5-x",
        f"x-protocell-{NOBODYS_PID}-5",
        f"protocell-{NOBODYS_PID}-5\n",
        f"protocell--{NOBODYS_PID}-5",
        "system.slice",
    ],
)
def test_a_name_that_no_zygote_gives_is_left_alone(tmp_path: Path, name: str):
    (tmp_path / name / "box-1").mkdir(parents=True)

    assert (cgroups.sweep(v2(tmp_path)), names(tmp_path)) == (0, [name])


def test_links_are_not_followed(tmp_path: Path):
    name = f"protocell-{NOBODYS_PID}-5"
    (tmp_path / "elsewhere" / "box-1").mkdir(parents=True)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "tree" / f"protocell-{NOBODYS_PID}-6").mkdir()
    (tmp_path / "tree" / f"protocell-{NOBODYS_PID}-6" / "box-1").symlink_to(tmp_path / "elsewhere")

    assert cgroups.sweep(v2(tmp_path / "tree")) == 0
    assert names(tmp_path / "elsewhere") == ["box-1"]


def test_each_tree_is_swept_for_itself(tmp_path: Path):
    memory, pids = tmp_path / "m", tmp_path / "p"
    (memory / f"protocell-{NOBODYS_PID}-5").mkdir(parents=True)
    pids.mkdir()

    assert (cgroups.sweep(v1(memory, pids)), names(memory)) == (1, [])


def test_the_start_time_is_found_whatever_a_process_calls_itself():
    name = Path("/proc/self/comm").read_text()
    before = cgroups.start_time(os.getpid())
    Path("/proc/self/comm").write_text("a) R 1 (b")
    odd = cgroups.start_time(os.getpid())
    Path("/proc/self/comm").write_text(name)

    assert odd == before
