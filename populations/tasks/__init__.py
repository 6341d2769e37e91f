"""Entry points of jobs, one module a noun: thin, they load a row and call services."""
