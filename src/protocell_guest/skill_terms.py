"""What host and sandbox agree on about skills: where they are, what they may be called, how large they may be."""

from __future__ import annotations

SPACE = "skills"
"""The namespace in which code finds them, and the server that they belong to in the catalogue."""
FOLDER = "/opt/protocell/skills"
"""Where the folder is mounted, read-only."""
SAVE = "save"
"""The tool by which code asks for a function of its own to be kept."""
MOST_BYTES = 64 * 1024
"""Of one skill."""
MOST_ABOUT_CHARACTERS = 8 * 1024
"""Of the JSON that says what a skill takes and does."""
MOST_DOC_CHARACTERS = 2_000
MOST_SIGNATURE_CHARACTERS = 500
MOST_PARAMETERS = 50
