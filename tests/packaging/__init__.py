"""What ships: the wheel in an environment of its own, the locks, the image's recipe."""
