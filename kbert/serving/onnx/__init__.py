"""A model as an ONNX graph, written from its layers' weights, and computed by ONNX Runtime."""
