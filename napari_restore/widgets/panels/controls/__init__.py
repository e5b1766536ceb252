"""Parts of the boxes: rows, lists, texts, and composite controls."""
