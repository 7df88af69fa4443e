"""The words of each record's texts as 32-bit numbers, from which rules about copies and repetition work."""
