"""Networks: a backbone that all domains share, and a head per label space."""
