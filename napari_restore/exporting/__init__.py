"""Export models for other programs: as a package for bioimage.io, or as ONNX."""
