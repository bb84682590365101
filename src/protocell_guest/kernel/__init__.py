"""One file per kernel feature; none of them decides policy."""
