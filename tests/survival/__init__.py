"""``make survival``: daemons, brokers and API servers are struck at random under real traffic; then the books are checked."""
