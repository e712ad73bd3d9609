"""The support-desk domain: seeded sessions, tool definitions, number streams and their rendering."""
