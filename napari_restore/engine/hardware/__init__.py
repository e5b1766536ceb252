"""Describe this machine: its devices, memory and compilers."""
