"""scripts/venv makes an environment that a sandbox of root's can read, however root's shell is set."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "venv"

# Stands for the interpreter: makes an environment and installs into it without a network.
PYTHON = f"""#!/bin/sh
case "$1 $2" in
"-m venv") mkdir -p "$3/bin" && touch "$3/pyvenv.cfg" && cp "$0" "$3/bin/python" ;;
"-m pip") echo "value = 1" >"$(dirname "$0")/../installed.py" ;;
*) exec "{sys.executable}" "$@" ;;
esac
"""


def test_an_environment_made_under_a_strict_umask_can_be_read_by_everybody(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    environment = tmp_path / "environment"

    subprocess.run([SCRIPT, environment, "demo", python], check=True, umask=0o077)

    modes = {path.name: path.stat().st_mode & 0o777 for path in environment.rglob("*")}
    assert modes["installed.py"] == 0o644
    assert modes["bin"] == modes["python"] == 0o755
    assert os.stat(environment).st_mode & 0o777 == 0o755
