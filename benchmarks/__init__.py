"""The shipped detectors on public recordings, beside controls, peers and published scores; not shipped in the wheel."""
