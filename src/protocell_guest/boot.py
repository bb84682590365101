"""Start the zygote under any interpreter: make this package importable without touching sys.path.

The host sends this text to the new interpreter's standard input, followed by a call of ``boot``.
"""

import importlib.util
import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036  (any interpreter may be asked to run this)
    sys.exit("Python 3.11 or later is needed, and this is %d.%d" % sys.version_info[:2])  # noqa: UP031


def boot(path: str, arguments: tuple[int, int, list[str], str]) -> None:
    """Import the package around ``path`` and run the zygote."""
    folder = os.path.dirname(path)
    spec = importlib.util.spec_from_file_location(
        "protocell_guest",
        os.path.join(folder, "__init__.py"),
        submodule_search_locations=[folder],
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"protocell_guest cannot be loaded from {folder}")
    package = importlib.util.module_from_spec(spec)
    sys.modules["protocell_guest"] = package
    spec.loader.exec_module(package)
    startup = importlib.import_module("protocell_guest.startup")
    startup.main(*arguments)
