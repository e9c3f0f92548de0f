"""What a person may set: policies and settings, their defaults and their refusals."""
