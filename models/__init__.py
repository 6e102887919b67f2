"""Windows of samples become scores: windows, features, detectors as ONNX graphs, calibration, baselines."""
