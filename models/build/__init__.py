"""Makes the graphs in models/graphs; runs on a development machine only (needs the `build` extra)."""
