"""Opens model directories that Everloop saved, with ONNX Runtime and with MLflow, and compares predictions.

    python check_saved.py FOLDER        # FOLDER/NAME/model (MLflow directory), FOLDER/NAME/expected.json
"""

import json
import pathlib
import sys

import mlflow
import numpy as np
import onnx
import onnxruntime
import pandas as pd
from mlflow.models import Model


def columns(listed):
    return {column["name"]: column["values"] for column in listed}


def feeds(session, inputs):
    """Columns as ONNX Runtime wants them: vectors; a missing text is any text that the model does not know."""
    kinds = {"tensor(float)": np.float32, "tensor(bool)": np.bool_, "tensor(string)": object}
    return {node.name: np.array(inputs[node.name], dtype=kinds[node.type]) for node in session.get_inputs()}


def compare(name, found, expected):
    for output, values in expected.items():
        own = np.asarray(found[output]).ravel().tolist()
        assert len(own) == len(values), f"{name}: {output} has {len(own)} rows"
        if isinstance(values[0], float):
            np.testing.assert_allclose(own, values, rtol=1e-6, atol=1e-6, err_msg=f"{name}: {output}")
        else:
            assert own == values, f"{name}: {output} differs"


def text_kind(values, kind):
    """`kind` for texts, else what pandas finds."""
    return kind if any(isinstance(value, str) for value in values) else None


def check(path):
    expected = json.loads((path / "expected.json").read_text())
    inputs, outputs = columns(expected["inputs"]), columns(expected["outputs"])
    model = path / "model"
    onnx.checker.check_model(onnx.load(model / "model.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(model / "model.onnx", providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_outputs()]
    compare(f"{path.name} in ONNX Runtime", dict(zip(names, session.run(None, feeds(session, inputs)))), outputs)

    loaded = mlflow.pyfunc.load_model(str(model))
    # Texts as Python objects, and as whatever this pandas makes of them; columns in another order, and one more.
    objects = pd.DataFrame({name: pd.Series(values, dtype=text_kind(values, object)) for name, values in inputs.items()})
    own = pd.DataFrame({"unrelated": 1, **dict(reversed(inputs.items()))})
    nullable = objects.astype({name: text_kind(values, "string") for name, values in inputs.items() if text_kind(values, "string")})
    for kind, frame in (("objects", objects), ("pandas' own", own), ("nullable", nullable)):
        compare(f"{path.name} in MLflow, {kind}", loaded.predict(frame), outputs)

    described = Model.load(str(model))
    assert described.signature.outputs.input_names() == names
    assert described.signature.inputs.input_names() == list(inputs)
    example = described.load_input_example(str(model))
    assert len(loaded.predict(example)) == 5
    serving = json.loads((model / "serving_input_example.json").read_text())["dataframe_split"]
    assert serving["columns"] == list(inputs)


def main(folder):
    paths = sorted(path for path in pathlib.Path(folder).iterdir() if path.is_dir())
    for path in paths:
        check(path)
    versions = f"onnxruntime {onnxruntime.__version__}, mlflow {mlflow.__version__}, pandas {pd.__version__}"
    print(f"{len(paths)} models agree ({versions})")


if __name__ == "__main__":
    main(sys.argv[1])
