"""How far assessments of results can be trusted themselves; pictures of them."""
