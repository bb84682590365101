"""The claims, a file for each family of tests; tests/claims.py puts them together."""
