"""Domains whose images are files: which files there are, decoding them side by side, writing what they hold."""
