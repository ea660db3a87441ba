"""One file an outside tool: how it is called, what it prints, what its answers mean."""
