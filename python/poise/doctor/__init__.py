"""Looks at the machine, the build and the model."""
