"""What is checked before a file from somebody else is believed: which files it makes us read, how large it grows."""
