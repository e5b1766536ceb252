"""The two published networks, in torch and einops alone."""
