"""Back ends, which run a network on a device: eager torch, torch's compiler, or OpenVINO."""
