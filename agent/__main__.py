"""`python -m agent`: the same as the command `tocsin`."""

from agent.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
