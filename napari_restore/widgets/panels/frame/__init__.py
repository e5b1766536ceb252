"""What is around the boxes of a dock widget: pages, the line that turns, and windows of their own."""
