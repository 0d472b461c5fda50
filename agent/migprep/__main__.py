"""Run as ``python -m migprep``, and as the entry of a zipapp, which needs the explicit exit."""

from migprep.cli import main

raise SystemExit(main())
