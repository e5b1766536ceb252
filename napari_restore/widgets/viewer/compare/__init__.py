"""Compare a source with its result on the canvas: Before, wipe, grid, difference, figures, and the bar."""
