"""The other side of the process boundary: zygote, init and the interpreter that runs model code."""
