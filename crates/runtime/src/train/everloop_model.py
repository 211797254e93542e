"""Predicts with a model that Everloop trained, through ONNX Runtime. MLflow loads this file as the model's
python_function; nothing here is needed to open model.onnx itself.

Beside mlflow.onnx it takes pandas' own text columns, nullable columns and missing texts.
"""

import numpy as np
import onnxruntime
import pandas as pd

# No category has this name: the model takes it, as any text it does not know, for missing.
MISSING = "\ue000"


def column(series, kind):
    """The values of one column as ONNX Runtime takes them."""
    if kind == "tensor(string)":
        return series.astype(object).where(series.notna(), MISSING).to_numpy(dtype=object)
    if kind == "tensor(bool)":
        return series.to_numpy(dtype=bool, na_value=False)
    return series.to_numpy(dtype=np.float32, na_value=np.nan)


class EverloopModel:
    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def predict(self, rows, params=None):
        """A column `prediction`, and `probability_<class>` for each class. Columns are found by name."""
        if not isinstance(rows, pd.DataFrame):
            rows = pd.DataFrame(rows)
        feed = {node.name: column(rows[node.name], node.type) for node in self.session.get_inputs()}
        names = [node.name for node in self.session.get_outputs()]
        return pd.DataFrame(dict(zip(names, self.session.run(names, feed))), index=rows.index)


def _load_pyfunc(path, model_config=None):
    return EverloopModel(path)
