"""The self-test: marked attacks, made here, planted in a copy of a sample in memory, and what the rules find of them.

Nothing of it is ever written into the data or beside it. What may be written, and only where somebody asks for it, are
marked samples for adversarial training (`export`), which `scan` and `attest` then refuse as training data.
"""
