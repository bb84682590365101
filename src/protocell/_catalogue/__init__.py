"""What a model sees of the tools: stubs, signatures, search, and what is said of its code beforehand."""
