"""What the tests here share."""

from tests.hand.unhurried import unhurried_reverts

__all__ = ["unhurried_reverts"]
