"""Which frozen copies of an interpreter are kept, which go, and which state each of them is of."""

from protocell._running.copies import BEGINNING, Copies, Copy, Moment


def made(number: int) -> Copy:
    """The copy of the state that this execution left."""
    return Copy(pid=100 + number, moment=Moment(number, number, number - 1), order=number)


def filled(most: int, most_named: int, *, recent: int, named: int) -> Copies:
    """So many of each, the recent ones first."""
    copies = Copies(most, most_named)
    for number in range(recent):
        copies.add(made(number), None)
    for number in range(recent, recent + named):
        copies.add(made(number), f"n{number}")
    return copies


def test_of_each_kind_so_many_are_kept_and_neither_pushes_out_the_other():
    copies = filled(2, 3, recent=5, named=5)

    assert copies.pids == (103, 104, 107, 108, 109)
    assert copies.names == ("n7", "n8", "n9")


def test_a_name_that_is_used_again_is_the_newest_and_pushes_nothing_out():
    copies = filled(1, 2, recent=0, named=2)
    copies.add(made(5), "n0")

    assert (copies.names, copies.pids) == (("n1", "n0"), (101, 105))


def test_all_but_the_latest_and_the_named_can_be_spent_the_oldest_first():
    assert filled(4, 3, recent=4, named=2).spendable == (100, 101, 102)
    assert filled(4, 3, recent=1, named=2).spendable == ()


def test_what_was_made_after_a_state_is_no_way_back_from_it():
    copies = filled(4, 3, recent=2, named=1)
    copies.add(made(3), None)
    named = copies.named("n2")
    assert named is not None
    copies.take(named)

    assert (copies.pids, copies.names) == ((100, 101), ())


def test_those_that_have_gone_are_forgotten_and_counted():
    copies = filled(3, 3, recent=3, named=2)

    assert copies.drop([100, 103, 999]) == 2
    assert (copies.pids, copies.names) == ((101, 102, 104), ("n4",))


def test_when_executions_are_counted_anew_named_ones_say_that_theirs_was_before():
    copies = filled(3, 3, recent=2, named=1)
    copies.begin_anew(", before the restart")
    named = copies.named("n2")

    assert copies.pids == (102,)
    assert named is not None
    assert (str(named.moment), str(BEGINNING)) == (
        "execution 2, before the restart",
        "execution 0",
    )
