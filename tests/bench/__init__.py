"""What is fast and what is small, measured and printed; nothing here is asserted."""
