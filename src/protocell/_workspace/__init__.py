"""The files of a sandbox from outside: read without trust, changed only through its init."""
