"""Start the supervisor, or a janitor, under any interpreter: our package is found without sys.path."""

import os
import sys

if __name__ == "__main__":
    # The folder that we are installed in may hold packages of another interpreter: it is in the
    # path for this one import, and a package finds its own modules without it.
    sys.path.insert(0, os.path.abspath(f"{__file__}/../../.."))
    import protocell_guest  # noqa: F401  (see above)

    del sys.path[0]
    from protocell_guest.process_runner import supervisor

    if sys.argv[1] == "remove":
        supervisor.remove_when_free(sys.argv[2])
    else:
        supervisor.main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
