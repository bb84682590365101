"""``python -m protocell.cli``: the command where its script is not on the PATH."""

from protocell.cli import main

main()
