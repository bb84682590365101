"""The calls of tools that code inside makes: checked, counted, asked about, performed, and remembered."""
