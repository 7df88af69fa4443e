"""dataguard checks the integrity of training data and screens it for poisoning before use."""
