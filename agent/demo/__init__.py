"""The demonstration: two machines, the real daemon, a broker of its own and a subscriber that listens."""
