"""How good the bundled models are, beside the usual filters, and the page that says so."""
