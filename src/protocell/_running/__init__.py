"""One execution, command or question from beginning to end, and what it came to."""
