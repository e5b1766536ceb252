"""How far a result can be trusted: the result beside its source, block by block, with probabilities."""
