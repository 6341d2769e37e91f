"""Machine learning without the web: no Django, no database, no settings."""
