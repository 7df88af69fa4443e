"""Reading: files become validated batches whose every row has an address."""
