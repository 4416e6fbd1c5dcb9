"""One file per loss term: a contribution to one gradient group (a source's, or the guide's)."""
