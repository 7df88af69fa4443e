"""What is known of numeric columns: their distributions, fences beyond their tails, and values that come together."""
