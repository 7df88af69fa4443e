"""The search for word sequences that were put into records: sampling, mining, testing, locating."""
