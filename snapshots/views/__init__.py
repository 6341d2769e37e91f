"""Pages of the snapshots app; one module a noun."""
