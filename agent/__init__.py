"""The daemon: the only package that knows both sensors and models."""
