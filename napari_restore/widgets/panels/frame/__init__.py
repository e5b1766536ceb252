"""What is around the boxes of a dock widget: pages, the page of batches, the line that turns, and own windows."""
