"""What a setting is, and the forms in which its values may be given."""
