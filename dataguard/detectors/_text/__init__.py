"""What a text hides: characters nobody sees, letters nobody can tell apart."""
