"""Scorers of our own, each held to the reference scores that lie beside the recordings."""
