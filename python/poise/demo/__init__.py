"""The demo: held-out sessions, played live with Poise and with plain prefix caching."""
