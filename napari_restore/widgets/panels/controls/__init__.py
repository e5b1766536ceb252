"""What the boxes are made of: rows, lists, texts, and controls of several parts."""
