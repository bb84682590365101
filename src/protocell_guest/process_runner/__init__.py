"""isolation="process": an interpreter in a process group and a temporary folder, and its supervisor."""
