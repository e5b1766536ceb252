"""What this machine is: its devices, memory and compilers."""
