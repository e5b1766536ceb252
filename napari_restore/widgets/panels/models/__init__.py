"""The list of models of a dock widget, its search, and the card of a model."""
