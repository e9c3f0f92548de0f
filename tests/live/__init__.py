"""Tests against real servers that packages bring along, and what they need to start them."""
