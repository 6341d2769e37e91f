"""Composed reads; one module a noun."""
