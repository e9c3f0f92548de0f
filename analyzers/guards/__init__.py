"""What can hold a rollback and never cause one: signs that requests are not as independent as the exact tests assume."""
