"""What runs on a GPU beside the networks: copies, and the steps before and after a network."""
