"""`python -m poise` is the `poise` command."""

from poise.cli import main

raise SystemExit(main())
