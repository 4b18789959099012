"""Results become strings here, one module a format; nothing here opens a file or computes."""
