"""DG207's parts: a model of labels by numbers, and what a model, by words or by numbers, says of a batch."""
