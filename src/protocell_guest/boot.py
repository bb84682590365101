"""Start the zygote under any interpreter: make this package importable without touching sys.path."""

import importlib.util
import os
import sys


def _make_package() -> None:
    folder = os.path.dirname(os.path.abspath(__file__))
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


if __name__ == "__main__":
    _make_package()
    from protocell_guest import zygote

    zygote.main(
        int(sys.argv[1]), int(sys.argv[2]), [name for name in sys.argv[3].split(",") if name]
    )
