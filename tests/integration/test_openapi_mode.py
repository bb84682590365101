"""An HTTP service as functions inside a real sandbox: its token stays on the host, its errors and its pages come in."""

from collections.abc import Iterator

import pytest

from protocell import Sandbox
from protocell._broker.runtime import of_this_process
from protocell.execution import Execution
from protocell.tools import Toolset
from tests.integration.library import ARCHIVE_BYTES, TITLES, TOKEN, Library, opened
from tests.integration.peaks import INSIDE, growth

of_this_process()  # the one loop of the blocking face, which stays until the process ends


@pytest.fixture
def library() -> Iterator[Library]:
    with opened() as library:
        yield library


def run(
    library: Library, code: str, *, auth: str | None = TOKEN, version: str = "3.1.0"
) -> Execution:
    url = f"{library.url}/openapi-{version}"
    with (
        Toolset.openapi(url, name="library", auth=auth) as toolset,
        Sandbox(tools=toolset) as sandbox,
    ):
        return sandbox.run_code(code, timeout=60)


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_path_query_header_and_body_are_keywords_of_one_function(library: Library, version: str):
    code = """
import inspect
made = library.books_add(shelf="a/b ü", title="Tea", note=None, dry_run=True, X_Trace="7", shelf_body="c")
print(list(inspect.signature(library.books_add).parameters))
print(made)
"""
    execution = run(library, code, version=version)

    assert execution.logs.stdout == [
        "['shelf', 'title', 'dry_run', 'X_Trace', 'shelf_body', 'note']\n",
        "{'shelf': 'c', 'title': 'Tea', 'note': None}\n",
    ]
    (asked,) = library.asked
    assert (asked["path"], asked["query"]) == (
        "/v1/shelves/a%2Fb%20%C3%BC/books",
        {"dry-run": "true"},
    )
    assert asked["body"] == {"title": "Tea", "shelf": "c", "note": None}
    assert asked["headers"]["x-trace"] == "7"
    assert asked["headers"]["authorization"] == f"Bearer {TOKEN}"


def test_the_token_is_never_inside_and_cannot_be_replaced_from_there(library: Library):
    code = """
import gc, os, sys
texts = [str(describe("library.books_add")), str(describe("library.linked")), repr(dict(os.environ))]
texts += [str(library.linked.raw()), str(library.linked()), repr(tools), *map(repr, globals().values())]
for wrong in (lambda: library.books_get(number=9), lambda: library.linked(Authorization="Bearer mine")):
    try:
        wrong()
    except ToolError as error:
        texts += [str(error), repr(error.data), error.kind]
things = [thing for thing in gc.get_objects() if isinstance(thing, (dict, list, tuple))]
known = {text for thing in things for text in (thing.values() if isinstance(thing, dict) else thing)
         if isinstance(text, str)}
part = "".join(reversed("1413-tsoh-eht"))
print(len(texts), [text for text in [*texts, *known] if part in text], texts[-1])
"""
    execution = run(library, code)

    assert execution.error is None
    (printed,) = execution.logs.stdout
    assert printed.split(" ", 1)[1] == "[] validation\n"
    assert {asked["headers"]["authorization"] for asked in library.asked} == {f"Bearer {TOKEN}"}


def test_an_error_of_the_service_raises_with_its_status_and_its_body(library: Library):
    code = """
try:
    library.books_get(number=9)
except ToolError as error:
    print(type(error).__name__, error.kind, error.server, str(error))
    print(error.data["status"], error.data["body"])
library.books_get(number=10)
"""
    execution = run(library, code)

    assert execution.logs.stdout == [
        "ToolFailedError tool library library/books/get: HTTP 404 Not Found: no book 9\n",
        "404 {'error': {'message': 'no book 9'}, 'tried': ['9']}\n",
    ]
    assert execution.error is not None
    assert execution.error.name == "ToolFailedError"
    assert [(call.outcome, call.kind) for call in execution.tool_calls] == [("error", "tool")] * 2


def test_without_a_token_the_service_says_so_and_the_code_reads_it(library: Library):
    execution = run(library, "library.linked()", auth=None)

    assert execution.error is not None
    assert execution.error.value == "library/linked: HTTP 401 Unauthorized: who are you?"


@pytest.mark.parametrize(
    "call, queries",
    [
        (
            "library.linked, per_page=3",
            [{"per_page": "3"}, {"per_page": "3", "page": "2"}, {"per_page": "3", "page": "3"}],
        ),
        ("library.cursors", [{}, {"page_token": "2"}, {"page_token": "3"}]),
        ("library.counted", [{}, {"page": "2"}, {"page": "3"}]),
        ("library.offsets", [{}, {"offset": "3"}, {"offset": "6"}]),
    ],
)
def test_all_pages_are_one_loop_whatever_way_they_go_on(
    library: Library, call: str, queries: list[dict[str, str]]
):
    code = f"""
print([book for book in paginate({call})])
print([len(page.items) for page in paginate({call}).pages()])
print([book async for book in paginate({call})] == list(paginate({call})))
print(list(paginate({call}, max_items=4)))
"""
    execution = run(library, code)

    assert execution.logs.stdout == [
        f"{TITLES}\n",
        "[3, 3, 1]\n",
        "True\n",
        f"{TITLES[:4]}\n",
    ]
    assert [asked["query"] for asked in library.asked[:3]] == queries
    assert len(library.asked) == 4 * 3 + 2


def test_a_large_download_stays_inside(library: Library):
    code = (
        INSIDE
        + "data = library.archive()\nprint(len(data), data[:3], data[-1], peak() - before < 150)"
    )
    with growth() as host:
        execution = run(library, code)

    assert execution.logs.stdout == [f"{ARCHIVE_BYTES} b'\\x00\\x01\\x02' 255 True\n"]
    assert [call.result_bytes - ARCHIVE_BYTES for call in execution.tool_calls] == [11]
    assert host.mib < 200
