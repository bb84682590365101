"""What runs in a context: the live interpreter and the loop that feeds it."""
