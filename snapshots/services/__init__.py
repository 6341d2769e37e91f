"""Verbs over models, snapshots, deployments and sightings; one module a noun."""
