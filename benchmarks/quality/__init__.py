"""Quality of the bundled models and of the usual filters, and the page that shows it."""
