"""A sandbox and its contexts over time: opened when needed, one execution at a time, ways back, closed."""
