"""The core: gradients in, gradients out. Depends on torch (and NLopt in one file) and on no other room."""
