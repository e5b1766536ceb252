"""Files, axes, scale and units: images are opened here, and the output is written here."""
