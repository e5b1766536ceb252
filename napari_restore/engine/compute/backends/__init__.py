"""What runs a network on a device: torch as it is, torch's compiler, or OpenVINO."""
