"""The folder of skills on the host: written whole, read without links, bounded, and never parsed."""

import asyncio
import errno
import json
import os
from pathlib import Path

import pytest

from protocell._catalogue.catalogue import Catalogue
from protocell._catalogue.changes import changes, digests
from protocell.errors import FileError, PolicyError
from protocell.tools import Skills, Tools, Toolset, skill_folder
from protocell.tools.skill_source import SkillSource, with_skills
from protocell.tools.skill_text import About, about_of
from protocell.tools.skills import MOST_BYTES_IN_ALL
from protocell_guest.skill_terms import MOST_BYTES

SOURCE = 'def totals(rows):\n    """Sum up."""\n    return sum(rows)\n'


@pytest.fixture
def skills(tmp_path: Path) -> Skills:
    return Skills(tmp_path / "skills")


def of_sandbox(**about: object) -> About:
    """What a sandbox may have said."""
    told = {"signature": "(rows)", "doc": "Sum up.", "parameters": None, "returns": None}
    found = about_of(json.dumps(told | about))
    assert found is not None
    return found


# -- writing and reading --------------------------------------------------------------------------


def test_a_saved_skill_is_a_plain_file_for_everybody_to_read(skills: Skills):
    before = os.umask(0o077)
    try:
        skill = skills.save("totals", SOURCE)
    finally:
        os.umask(before)

    assert skills.list() == (skill,)
    assert skill.path == os.path.join(skills.folder, "totals.py")
    assert Path(skill.path).read_text() == SOURCE == skills.read("totals")
    assert os.stat(skill.path).st_mode & 0o777 == 0o644
    assert os.listdir(skills.folder) == ["totals.py"]


def test_a_folder_that_is_not_there_is_made_for_everybody_to_read(tmp_path: Path):
    before = os.umask(0o077)
    try:
        skills = Skills(tmp_path / "new")
    finally:
        os.umask(before)

    assert os.stat(skills.folder).st_mode & 0o777 == 0o755


def test_what_a_sandbox_found_out_stands_in_the_first_line_and_is_read_back(skills: Skills):
    about = of_sandbox(
        signature="(rows: list[int], /, *more, key='a') -> int",
        parameters=[
            {"name": "rows", "kind": "positional_only", "required": True, "schema": {}},
            {"name": "key", "kind": "keyword_only", "required": False, "schema": {}, "default": 1},
        ],
        returns={"type": "integer"},
    )
    skill = skills.save("totals", SOURCE, about=about)

    assert (skill.signature, skill.doc) == (about.signature, "Sum up.")
    first, _, rest = skills.read("totals").partition("\n")
    assert (first[:20], rest) == ("# protocell skill: {", SOURCE)
    (entry,) = Skills(skills.folder).book()
    assert entry.about == about


def test_a_text_that_somebody_changed_is_not_described_by_the_line_before_it(skills: Skills):
    path = Path(skills.save("totals", SOURCE, about=of_sandbox()).path)
    path.write_text(path.read_text().replace("rows", "lines"))

    assert [skill.signature for skill in skills.list()] == ["(...)"]


def test_what_was_read_can_be_saved_under_the_same_line(skills: Skills):
    skills.save("totals", SOURCE, about=of_sandbox())
    again = skills.save("totals", skills.read("totals"))

    assert again.signature == "(rows)"


def test_the_first_line_of_a_source_is_not_believed_where_there_is_a_better_one(skills: Skills):
    forged = f'# protocell skill: {{"signature": "()", "doc": "Harmless."}}\n{SOURCE}'
    skill = skills.save("totals", forged, about=of_sandbox())

    assert skill.doc == "Sum up."
    assert skills.read("totals").count("# protocell skill:") == 1


def test_a_name_that_is_there_is_replaced_only_where_that_is_said(skills: Skills):
    first = skills.save("totals", SOURCE)
    with pytest.raises(FileError, match="already: replace it") as caught:
        skills.save("totals", SOURCE.replace("rows", "lines"))
    second = skills.save("totals", SOURCE.replace("rows", "lines"), replace=True)

    assert caught.value.errno == errno.EEXIST
    assert skills.folder not in str(caught.value)
    assert skills.list() == (second,)
    assert first.digest != second.digest


def test_the_same_text_once_more_changes_nothing(skills: Skills):
    first = skills.save("totals", SOURCE)
    inode = os.stat(first.path).st_ino

    assert skills.save("totals", SOURCE) == first
    assert os.stat(first.path).st_ino == inode


def test_a_removed_skill_is_gone(skills: Skills):
    skills.save("totals", SOURCE)
    skills.remove("totals")

    assert skills.list() == ()
    with pytest.raises(FileError, match="there is no skill 'totals'"):
        skills.remove("totals")
    with pytest.raises(FileError, match="there is no skill 'totals'"):
        skills.read("totals")


def test_the_book_is_the_same_object_until_a_file_is_another_one(skills: Skills):
    path = Path(skills.save("totals", SOURCE).path)
    book = skills.book()
    assert skills.book() is book

    path.write_text(SOURCE + "\n# changed\n")
    assert skills.book() is not book


# -- names and sources ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("", "a b", "a.b", "../a", "/a", "a/b", "_a", "__init__", "class", "save", "1a", "a" * 65),
        *("é", "a\n", "a\0", "\uff41", None, 3, b"a"),
    ],
)
def test_a_name_that_is_no_plain_identifier_is_refused(skills: Skills, name: str):
    for attempt in (
        lambda: skills.save(name, SOURCE),
        lambda: skills.read(name),
        lambda: skills.remove(name),
    ):
        with pytest.raises(PolicyError, match="a skill cannot be called"):
            attempt()
    assert os.listdir(skills.folder) == []


@pytest.mark.parametrize(
    "source, why",
    [
        (b"def totals(): pass", "allowed is text"),
        ("def other(): pass", "does not define totals"),
        ("    def totals(): pass", "does not define totals"),
        ("totals == 3", "does not define totals"),
        (SOURCE + "#" * MOST_BYTES, "too large"),
        (SOURCE + "# " + "é" * (MOST_BYTES // 2), "too large"),
        (SOURCE + "\0", "no screen shows"),
        (SOURCE + "# \u202e", "no screen shows"),
        (SOURCE + "# \u200b", "no screen shows"),
        (SOURCE + "# \U000e0041", "no screen shows"),
        (SOURCE + "# \x1b[2K", "no screen shows"),
        (SOURCE + "x = 1\rimport os\r", "no screen shows"),
        (SOURCE + "# \ud800", "no screen shows"),
    ],
)
def test_a_source_that_nobody_could_read_is_refused(skills: Skills, source: str, why: str):
    with pytest.raises(PolicyError, match=why):
        skills.save("totals", source)
    assert os.listdir(skills.folder) == []


@pytest.mark.parametrize(
    "source",
    [
        "async def totals(): pass\n",
        "@cache\ndef totals(): pass\n",
        "import x\ntotals = x.totals\n",
        "def totals[T](row: T) -> T: ...\n",
    ],
)
def test_a_source_may_define_its_function_in_any_way(skills: Skills, source: str):
    assert skills.save("totals", source).name == "totals"


def test_a_hostile_source_is_kept_as_text_and_never_parsed(skills: Skills):
    source = SOURCE + "x = " + "(" * 20_000 + "\n"
    assert skills.read(skills.save("totals", source).name) == source


def test_line_ends_of_windows_become_plain_ones(skills: Skills):
    skills.save("totals", SOURCE.replace("\n", "\r\n"))
    assert skills.read("totals") == SOURCE


@pytest.mark.parametrize(
    "told",
    [
        *(None, 3, "", "[]", "{}", "[" * 20_000, '{"signature": 1}', "x" * 100_000),
        json.dumps({"signature": "(a)\n", "doc": ""}),
        json.dumps({"signature": "(" + "a" * 600, "doc": ""}),
        json.dumps({"signature": "()", "doc": 7}),
        '{"signature": "()", "doc": "", "returns": ' + '{"a":' * 900 + "1" + "}" * 901,
    ],
)
def test_what_no_sandbox_of_ours_would_say_about_a_skill_is_not_taken(told: object):
    assert about_of(told) is None


def test_what_is_said_about_a_skill_is_made_visible_and_cut():
    about = of_sandbox(doc="\x1b[2Jharmless\u202e" + "x" * 10_000, signature="rm -rf")

    assert about.doc.startswith("\\x1b[2Jharmless\\u202e")
    assert len(about.doc) < 2_100
    assert about.signature == ""


@pytest.mark.parametrize(
    "parameter",
    [
        *(3, {}, {"name": "a b", "kind": "normal", "required": True, "schema": {}}),
        {"name": "a", "kind": "other", "required": True, "schema": {}},
        {"name": "a", "kind": ["normal"], "required": True, "schema": {}},
        {"name": "a", "kind": "normal", "required": 1, "schema": {}},
        {"name": "a", "kind": "normal", "required": True, "schema": []},
    ],
)
def test_parameters_that_are_told_oddly_are_not_known(parameter: object):
    assert of_sandbox(parameters=[parameter]).parameters is None


# -- what lies in the folder ----------------------------------------------------------------------


def test_links_in_the_folder_are_neither_read_nor_listed_nor_replaced(
    skills: Skills, tmp_path: Path
):
    secret = tmp_path / "secret.py"
    secret.write_text("def totals(): return 'secret'\n")
    os.symlink(secret, Path(skills.folder) / "totals.py")

    assert skills.list() == ()
    assert skills.left_out() == {"totals": "no regular file; links are not followed"}
    with pytest.raises(FileError, match="is a link, which is never followed"):
        skills.read("totals")
    for replace in (False, True):
        with pytest.raises(FileError):
            skills.save("totals", SOURCE, replace=replace)
    assert secret.read_text() == "def totals(): return 'secret'\n"
    skills.remove("totals")  # the link
    assert secret.exists()


def test_what_is_no_skill_is_left_out_with_the_reason(skills: Skills):
    folder = Path(skills.folder)
    (folder / "README.md").write_text("about")
    (folder / "__init__.py").write_text("")
    (folder / "two words.py").write_text("")
    (folder / "large.py").write_text("#" * 200_000)
    (folder / "odd.py").write_bytes(b"\xff\xfe")
    (folder / "inner.py").mkdir()
    os.mkfifo(folder / "pipe.py")
    skills.save("totals", SOURCE)

    assert [skill.name for skill in skills.list()] == ["totals"]
    assert skills.left_out() == {
        "two words": "no name for a skill",
        "large": f"larger than {MOST_BYTES + 40 * 1024:,} bytes",
        "odd": "the skill 'odd' is no text in UTF-8",
        "inner": "no regular file; links are not followed",
        "pipe": "no regular file; links are not followed",
    }


def test_only_so_many_skills_and_bytes_are_kept(skills: Skills, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("protocell.tools.skills.MOST_SKILLS", 2)
    skills.save("a", "def a(): ...")
    skills.save("b", "def b(): ...")
    with pytest.raises(PolicyError, match="there are 2 skills, as many as may be"):
        skills.save("c", "def c(): ...")
    skills.save("b", "def b(): return 2", replace=True)

    monkeypatch.setattr("protocell.tools.skills.MOST_BYTES_IN_ALL", 40)
    with pytest.raises(PolicyError, match="remove some"):
        skills.save("b", "def b(): return 'something longer'", replace=True)
    assert MOST_BYTES_IN_ALL == 8 << 20


def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "no" / "parent", "a\0b", 3):
        with pytest.raises(PolicyError, match="the folder of skills is"):
            Skills(path)  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="consent is 3; allowed is a function"):
        Skills(tmp_path, consent=3)  # type: ignore[arg-type]


def test_a_folder_that_is_gone_is_an_error_and_no_empty_list(skills: Skills):
    os.rmdir(skills.folder)
    with pytest.raises(FileError, match="the skills cannot be listed"):
        skills.list()


# -- in the catalogue -----------------------------------------------------------------------------


async def catalogue_of(skills: Skills) -> Catalogue:
    tools = with_skills(None, SkillSource(skills))
    return Catalogue.of(await tools.toolset.tools())


def test_a_changed_skill_is_told_as_a_changed_definition(skills: Skills):
    skills.save("totals", SOURCE)
    skills.save("other", "def other(): ...")
    known = digests(asyncio.run(catalogue_of(skills)))
    skills.save("totals", SOURCE.replace("sum", "max"), replace=True)
    skills.remove("other")
    skills.save("third", "def third(): ...")
    found = changes(asyncio.run(catalogue_of(skills)), known)

    assert (found.changed, found.gone, found.new) == (
        ("skills/totals",),
        ("skills/other",),
        ("skills/third",),
    )


def test_a_skill_takes_no_flat_name_from_a_tool(skills: Skills):
    def totals() -> int:
        """Ours."""
        return 1

    skills.save("totals", SOURCE)
    tools = with_skills(Tools(toolset=Toolset.of(totals)), SkillSource(skills))
    catalogue = Catalogue.of(asyncio.run(tools.toolset.tools()))

    assert [tool.id for tool in catalogue.flat.values()] == ["functions/totals"]


def test_a_server_that_is_called_as_the_skills_are_is_refused(skills: Skills):
    with pytest.raises(PolicyError, match="two servers are called 'skills'"):
        with_skills(Tools(toolset=Toolset.of(len, name="skills")), SkillSource(skills))


def test_a_file_that_is_taken_away_while_its_folder_is_listed_is_no_skill_and_no_error(
    tmp_path: Path,
):
    (tmp_path / "totals.py").write_text("def totals(): ...\n")
    with os.scandir(tmp_path) as entries:
        (entry,) = entries
    (tmp_path / "totals.py").unlink()
    found: dict[str, skill_folder.Stamp] = {}
    left_out: dict[str, str] = {}
    skill_folder._look(entry, found, left_out)

    assert (found, left_out) == ({}, {})
