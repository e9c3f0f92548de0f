"""The mathematics: pure functions of counts and additive states. No clock, no loop, no I/O."""
