"""Records what the real libraries answer, for tests/it: models and their predictions on a few rows.

    python record.py [NAME...]          # writes ../fixtures/NAME/{model file(s), case.json}

Run in an environment with requirements-record.txt. The cases named `xgboost1_*` want XGBoost 1.7.6 (and numpy < 2);
run them alone in such an environment. Everything is seeded; library versions are noted in each case.json.
"""

import json
import pathlib
import shutil
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures"
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def numbers(seed, rows, columns, missing=0.1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)).astype(np.float32)
    x[rng.random(x.shape) < missing] = np.nan
    return x


def target(x, seed):
    rng = np.random.default_rng(seed + 1)
    z = np.nan_to_num(x, nan=0.7)
    return z[:, 0] * 2 + np.sin(3 * z[:, 1]) - (z[:, 2] > 0.3) + 0.3 * rng.normal(size=len(z))


def listed(values):
    """JSON-able list; missing values become null."""
    values = np.asarray(values)
    if values.dtype == object or values.dtype.kind in "US":
        return [None if v is None or v != v else (v.item() if hasattr(v, "item") else v) for v in values.tolist()]
    return [None if v != v else v for v in values.tolist()]


def columns_of(x, names):
    return [{"name": name, "values": listed(x[:, j])} for j, name in enumerate(names)]


def frame_columns(frame):
    return [{"name": name, "values": listed(frame[name].astype(object).to_numpy())} for name in frame.columns]


def save(name, columns, *, classes=None, probabilities=None, labels=None, values=None, made_by):
    body = {"made_by": made_by, "columns": columns}
    if classes is not None:
        body["classes"] = classes
    if probabilities is not None:
        body["probabilities"] = np.asarray(probabilities, dtype=np.float64).tolist()
    if labels is not None:
        body["labels"] = np.asarray(labels).tolist()
    if values is not None:
        body["values"] = np.asarray(values, dtype=np.float64).tolist()
    (folder(name) / "case.json").write_text(json.dumps(body) + "\n")


def folder(name):
    path = FIXTURES / name
    path.mkdir(parents=True, exist_ok=True)
    return path


# --- XGBoost -----------------------------------------------------------------------------------------------------


def xgb_version():
    import xgboost

    return {"xgboost": xgboost.__version__, "numpy": np.__version__}


def xgb_train(params, x, y, rounds=8, names=None, **more):
    import xgboost

    base = {"max_depth": 4, "eta": 0.3, "seed": 1, "nthread": 1, "tree_method": "hist"}
    data = xgboost.DMatrix(x, y, feature_names=names, **more)
    return xgboost.train({**base, **params}, data, rounds)


def xgb_case(name, params, y_of, test_rows=60, suffix="json", rounds=8, **save_more):
    import xgboost

    x = numbers(5, 400, 4)
    names = ["a", "b", "c", "d"]
    booster = xgb_train(params, x, y_of(target(x, 5)), rounds, names)
    booster.save_model(folder(name) / f"model.{suffix}")
    test = numbers(6, test_rows, 4)
    out = booster.predict(xgboost.DMatrix(test, feature_names=names))
    return columns_of(test, names), out


def binary_proba(p):
    return np.column_stack([1 - np.asarray(p, dtype=np.float64), p])


@case
def xgboost_regression():
    columns, out = xgb_case("xgboost_regression", {"objective": "reg:squarederror"}, lambda y: y + 10)
    save("xgboost_regression", columns, values=out, made_by=xgb_version())


@case
def xgboost_binary_ubj():
    columns, out = xgb_case("xgboost_binary_ubj", {"objective": "binary:logistic"}, lambda y: y > 1, suffix="ubj")
    save("xgboost_binary_ubj", columns, classes=[0, 1], probabilities=binary_proba(out), made_by=xgb_version())


@case
def xgboost_softprob():
    objective = {"objective": "multi:softprob", "num_class": 3}
    columns, out = xgb_case("xgboost_softprob", objective, lambda y: np.digitize(y, [-0.5, 0.8]), rounds=5)
    save("xgboost_softprob", columns, classes=[0, 1, 2], probabilities=out, made_by=xgb_version())


@case
def xgboost_dart():
    params = {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.4, "one_drop": 1}
    columns, out = xgb_case("xgboost_dart", params, lambda y: y > 0, rounds=12)
    save("xgboost_dart", columns, classes=[0, 1], probabilities=binary_proba(out), made_by=xgb_version())


@case
def xgboost_poisson():
    columns, out = xgb_case("xgboost_poisson", {"objective": "count:poisson"}, lambda y: np.exp(y / 2).round())
    save("xgboost_poisson", columns, values=out, made_by=xgb_version())


@case
def xgboost_forest():
    """Boosted random forest: several trees an iteration."""
    params = {"objective": "reg:squarederror", "num_parallel_tree": 3, "subsample": 0.7, "colsample_bynode": 0.8}
    columns, out = xgb_case("xgboost_forest", params, lambda y: y, rounds=3, suffix="ubj")
    save("xgboost_forest", columns, values=out, made_by=xgb_version())


def mixed_frame(seed, rows, unseen=False):
    import pandas as pd

    rng = np.random.default_rng(seed)
    x = numbers(seed, rows, 2)
    ports = ["EWR", "JFK", "LGA", "ATL", "ORD", "SFO", "LAX", "BOS", "MIA", "DEN", "SEA", "PHX"]
    carriers = ["AA", "B6", "DL", "UA"]
    frame = pd.DataFrame({"temp": x[:, 0], "dest": rng.choice(ports, rows), "wind": x[:, 1], "carrier": rng.choice(carriers, rows)})
    frame["dest"] = frame["dest"].astype(object)
    frame.loc[rng.random(rows) < 0.08, "dest"] = None
    effect = {port: (i * 7 % 12) / 6 - 1 for i, port in enumerate(ports)}
    y = frame["dest"].map(effect).fillna(0.4).astype(float) + 0.5 * np.nan_to_num(x[:, 0]) + (frame["carrier"] == "B6") * 0.6 + 0.3 * rng.normal(size=rows)
    return frame, y.to_numpy(), {"dest": ports, "carrier": carriers}


def categorised(frame, levels):
    import pandas as pd

    return frame.assign(**{name: pd.Categorical(frame[name], categories=levels[name]) for name in levels})


@case
def xgboost_categories():
    """Text categories kept in the model, onehot and partition splits, as an MLflow directory."""
    import mlflow.xgboost
    import xgboost
    from mlflow.models import infer_signature

    frame, y, levels = mixed_frame(11, 600)
    model = xgboost.XGBClassifier(
        n_estimators=40, max_depth=4, learning_rate=0.3, enable_categorical=True, max_cat_to_onehot=5,
        early_stopping_rounds=3, n_jobs=1, random_state=1,
    )
    held, held_y, _ = mixed_frame(12, 200)
    model.fit(categorised(frame, levels), y > 0, eval_set=[(categorised(held, levels), held_y > 0)], verbose=False)
    path = folder("xgboost_categories")
    shutil.rmtree(path)
    signature = infer_signature(frame.fillna({"dest": "?"}), model.predict(categorised(frame, levels)))
    mlflow.xgboost.save_model(model, str(path), signature=signature, model_format="json")
    test, _, _ = mixed_frame(13, 80)
    p = model.predict_proba(categorised(test, levels))
    made_by = {**xgb_version(), "best_iteration": int(model.best_iteration)}
    save("xgboost_categories", frame_columns(test), classes=[0, 1], probabilities=p, labels=model.predict(categorised(test, levels)).astype(int), made_by=made_by)


@case
def xgboost1_regression():
    columns, out = xgb_case("xgboost1_regression", {"objective": "reg:squarederror"}, lambda y: y + 10)
    save("xgboost1_regression", columns, values=out, made_by=xgb_version())


@case
def xgboost1_binary():
    params = {"objective": "binary:logistic", "base_score": 0.3}
    columns, out = xgb_case("xgboost1_binary", params, lambda y: y > 1, suffix="ubj")
    save("xgboost1_binary", columns, classes=[0, 1], probabilities=binary_proba(out), made_by=xgb_version())


# --- LightGBM ----------------------------------------------------------------------------------------------------


def lgb_version():
    import lightgbm

    return {"lightgbm": lightgbm.__version__, "numpy": np.__version__}


def lgb_case(name, params, y_of, rounds=8, spread=1e9):
    import lightgbm

    base = {"num_leaves": 9, "min_data_in_leaf": 10, "verbose": -1, "seed": 1, "num_threads": 1, "deterministic": True}
    names = ["a", "b", "c", "d"]

    def rows(seed, count):
        # Doubles that differ by less than a float can tell.
        x = numbers(seed, count, 4).astype(np.float64)
        x[:, 0] = x[:, 0] * 1e-9 + spread
        x[np.random.default_rng(seed).random(x.shape) < 0.05] = 0.0
        return x

    x = rows(5, 500)
    y = y_of(target(np.column_stack([(x[:, 0] - spread) * 1e9, x[:, 1:]]), 5))
    data = lightgbm.Dataset(x, y, feature_name=names, free_raw_data=False)
    booster = lightgbm.train({**base, **params}, data, rounds)
    booster.save_model(folder(name) / "model.txt")
    test = rows(6, 60)
    return columns_of(test, names), booster.predict(test)


@case
def lightgbm_regression():
    columns, out = lgb_case("lightgbm_regression", {"objective": "regression"}, lambda y: y, spread=1.0)
    save("lightgbm_regression", columns, values=out, made_by=lgb_version())


@case
def lightgbm_zero_as_missing():
    params = {"objective": "regression", "zero_as_missing": True}
    columns, out = lgb_case("lightgbm_zero_as_missing", params, lambda y: y, spread=1.0)
    save("lightgbm_zero_as_missing", columns, values=out, made_by=lgb_version())


@case
def lightgbm_no_missing():
    params = {"objective": "poisson", "use_missing": False}
    columns, out = lgb_case("lightgbm_no_missing", params, lambda y: np.exp(y / 2).round(), spread=1.0)
    save("lightgbm_no_missing", columns, values=out, made_by=lgb_version())


@case
def lightgbm_multiclass():
    params = {"objective": "multiclass", "num_class": 3}
    columns, out = lgb_case("lightgbm_multiclass", params, lambda y: np.digitize(y, [-0.5, 0.8]), 5, spread=1.0)
    save("lightgbm_multiclass", columns, classes=[0, 1, 2], probabilities=out, made_by=lgb_version())


@case
def lightgbm_one_vs_all():
    params = {"objective": "multiclassova", "num_class": 3}
    columns, out = lgb_case("lightgbm_one_vs_all", params, lambda y: np.digitize(y, [-0.5, 0.8]), 4, spread=1.0)
    save("lightgbm_one_vs_all", columns, classes=[0, 1, 2], probabilities=out, made_by=lgb_version())


@case
def lightgbm_forest():
    params = {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}
    columns, out = lgb_case("lightgbm_forest", params, lambda y: y > 0, spread=1.0)
    save("lightgbm_forest", columns, classes=[0, 1], probabilities=binary_proba(out), made_by=lgb_version())


@case
def lightgbm_sqrt():
    columns, out = lgb_case("lightgbm_sqrt", {"objective": "regression", "reg_sqrt": True}, lambda y: y * 5, spread=1.0)
    save("lightgbm_sqrt", columns, values=out, made_by=lgb_version())


@case
def lightgbm_categories():
    """pandas categories of texts and of numbers, as an MLflow directory."""
    import lightgbm
    import mlflow.lightgbm
    import pandas as pd
    from mlflow.models import infer_signature

    def frames(seed, rows):
        frame, y, levels = mixed_frame(seed, rows)
        zone = np.random.default_rng(seed).choice([10, 20, 50, 70], rows)
        frame["zone"] = zone
        return frame, y + (zone == 20), levels

    frame, y, levels = frames(21, 800)
    levels = {**levels, "zone": [10, 20, 50, 70]}
    model = lightgbm.LGBMClassifier(n_estimators=12, num_leaves=12, min_child_samples=8, cat_smooth=1, min_data_per_group=10, max_cat_to_onehot=3, n_jobs=1, random_state=1, verbose=-1)
    model.fit(categorised(frame, levels), np.where(y > 0, 1, 0))
    path = folder("lightgbm_categories")
    shutil.rmtree(path)
    signature = infer_signature(frame.fillna({"dest": "?"}), model.predict(categorised(frame, levels)))
    mlflow.lightgbm.save_model(model.booster_, str(path), signature=signature)
    test, _, _ = frames(23, 80)
    p = model.predict_proba(categorised(test, levels))
    columns = frame_columns(test)
    for column in columns:
        if column["name"] == "zone":
            column["values"] = [None if v is None else int(v) for v in column["values"]]
    save("lightgbm_categories", columns, classes=[0, 1], probabilities=p, made_by={**lgb_version(), "pandas": pd.__version__})


# --- ONNX --------------------------------------------------------------------------------------------------------


def onnx_version():
    import onnx
    import onnxruntime
    import skl2onnx
    import sklearn

    return {
        "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__,
        "scikit-learn": sklearn.__version__, "skl2onnx": skl2onnx.__version__,
    }


def session(model):
    import onnxruntime

    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def onnx_save(name, model, feed, columns, made_by=None, classes=None):
    """Stores the graph and ONNX Runtime's own answers."""
    (folder(name) / "model.onnx").write_bytes(model.SerializeToString())
    out = session(model).run(None, feed)
    made_by = made_by or onnx_version()
    if classes is None:
        save(name, columns, values=np.asarray(out[0]).reshape(len(out[0]), -1).squeeze(), made_by=made_by)
        return
    p = out[1]
    if isinstance(p, list):
        p = [[row[c] for c in classes] for row in p]
    save(name, columns, classes=classes, probabilities=p, labels=out[0], made_by=made_by)


def skl_case(name, model, y_of, classes=None, missing=0.0, rows=40, names=None, **options):
    from skl2onnx import to_onnx

    x = numbers(5, 300, 4, missing)
    model.fit(x, y_of(target(x, 5)))
    graph = to_onnx(model, x[:1], target_opset=17, options={id(model): options} if options else None)
    test = numbers(6, rows, 4, missing)
    onnx_save(name, graph, {"X": test}, columns_of(test, names or ["f0", "f1", "f2", "f3"]), classes=classes)


def accept_bools():
    """skl2onnx 1.20 gives histogram boosting's missing directions as truth values, which protobuf 7 refuses as ints."""
    import onnx.helper

    make = onnx.helper.make_attribute

    def make_attribute(key, value, *more, **named):
        if isinstance(value, (list, np.ndarray)) and any(isinstance(v, (bool, np.bool_)) for v in value):
            value = [int(v) for v in value]
        return make(key, value, *more, **named)

    onnx.helper.make_attribute = make_attribute


def three(y):
    return np.digitize(y, [-0.5, 0.8])


@case
def onnx_forest_classifier():
    from sklearn.ensemble import RandomForestClassifier

    skl_case("onnx_forest_classifier", RandomForestClassifier(7, max_depth=5, random_state=1), three, [0, 1, 2])


@case
def onnx_forest_regressor():
    from sklearn.ensemble import RandomForestRegressor

    skl_case("onnx_forest_regressor", RandomForestRegressor(7, max_depth=5, random_state=1), lambda y: y)


@case
def onnx_boosted_classifier():
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(n_estimators=8, random_state=1)
    skl_case("onnx_boosted_classifier", model, lambda y: np.where(y > 0, "late", "early"), ["early", "late"])


@case
def onnx_hist_classifier():
    from sklearn.ensemble import HistGradientBoostingClassifier

    accept_bools()
    model = HistGradientBoostingClassifier(max_iter=8, max_leaf_nodes=8, random_state=1)
    skl_case("onnx_hist_classifier", model, lambda y: (y > 0).astype(int), [0, 1], missing=0.1, zipmap=False)


@case
def onnx_hist_regressor():
    from sklearn.ensemble import HistGradientBoostingRegressor

    accept_bools()
    model = HistGradientBoostingRegressor(max_iter=8, max_leaf_nodes=8, random_state=1)
    skl_case("onnx_hist_regressor", model, lambda y: y, missing=0.1)


@case
def onnx_mlp():
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), MLPClassifier(hidden_layer_sizes=(8, 6), max_iter=60, random_state=1))
    skl_case("onnx_mlp", model, three, [0, 1, 2])


@case
def onnx_mlp_regressor():
    from sklearn.neural_network import MLPRegressor

    skl_case("onnx_mlp_regressor", MLPRegressor(hidden_layer_sizes=(6,), activation="tanh", max_iter=60, random_state=1), lambda y: y)


@case
def onnx_linear_regression():
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, Normalizer

    skl_case("onnx_linear_regression", make_pipeline(MinMaxScaler(), Normalizer("l2"), LinearRegression()), lambda y: y)


@case
def onnx_polynomial():
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Binarizer, FunctionTransformer, PolynomialFeatures

    model = make_pipeline(PolynomialFeatures(2, include_bias=False), Binarizer(threshold=0.1), Ridge())
    skl_case("onnx_polynomial", model, lambda y: y)


@case
def onnx_naive_bayes():
    from sklearn.naive_bayes import GaussianNB

    skl_case("onnx_naive_bayes", GaussianNB(), three, [0, 1, 2])


@case
def onnx_pca_logistic():
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import RobustScaler

    skl_case("onnx_pca_logistic", make_pipeline(RobustScaler(), PCA(3), LogisticRegression()), three, [0, 1, 2])


@case
def onnx_voting():
    from sklearn.ensemble import RandomForestClassifier, VotingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    parts = [
        ("forest", RandomForestClassifier(4, max_depth=3, random_state=1)),
        ("tree", DecisionTreeClassifier(max_depth=4, random_state=1)), ("linear", LogisticRegression()),
    ]
    skl_case("onnx_voting", VotingClassifier(parts, voting="soft", flatten_transform=False), lambda y: (y > 0).astype(int), [0, 1])


@case
def onnx_calibrated():
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.tree import DecisionTreeClassifier

    model = CalibratedClassifierCV(DecisionTreeClassifier(max_depth=3, random_state=1), cv=3)
    skl_case("onnx_calibrated", model, lambda y: (y > 0).astype(int), [0, 1])


@case
def onnx_stacked_tree_outputs():
    """One tree, two values per leaf."""
    from sklearn.tree import DecisionTreeRegressor

    model = DecisionTreeRegressor(max_depth=4, random_state=1)
    skl_case("onnx_stacked_tree_outputs", model, lambda y: np.column_stack([y, y**2]))


@case
def onnx_strings_pipeline():
    """Texts and numbers in columns of their own, as scikit-learn users have them."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame, y, _ = mixed_frame(31, 400)
    frame["dest"] = frame["dest"].fillna("?")
    steps = ColumnTransformer([
        ("number", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["temp", "wind"]),
        ("text", OneHotEncoder(handle_unknown="ignore"), ["dest", "carrier"]),
    ])
    model = Pipeline([("prepare", steps), ("model", LogisticRegression(max_iter=200))])
    model.fit(frame, np.where(y > 0, "late", "early"))
    kinds = [("temp", FloatTensorType([None, 1])), ("dest", StringTensorType([None, 1])),
             ("wind", FloatTensorType([None, 1])), ("carrier", StringTensorType([None, 1]))]
    graph = to_onnx(model, initial_types=kinds, target_opset=17)
    test, _, _ = mixed_frame(33, 50)
    test["dest"] = test["dest"].fillna("?")
    test.loc[3, "dest"] = "XXX"
    feed = {name: test[[name]].to_numpy(dtype=object if name in ("dest", "carrier") else np.float32) for name, _ in kinds}
    onnx_save("onnx_strings_pipeline", graph, feed, frame_columns(test), classes=["early", "late"])


@case
def onnx_ordinal_forest():
    """Texts to whole numbers to a forest: LabelEncoder or its like, Cast, Concat."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    frame, y, _ = mixed_frame(41, 400)
    frame = frame.fillna({"dest": "?", "temp": 0.0, "wind": 0.0})
    steps = ColumnTransformer([("text", OrdinalEncoder(), ["dest", "carrier"])], remainder="passthrough")
    model = Pipeline([("prepare", steps), ("model", RandomForestClassifier(6, max_depth=5, random_state=1))])
    model.fit(frame, (y > 0).astype(int))
    kinds = [("temp", FloatTensorType([None, 1])), ("dest", StringTensorType([None, 1])),
             ("wind", FloatTensorType([None, 1])), ("carrier", StringTensorType([None, 1]))]
    graph = to_onnx(model, initial_types=kinds, target_opset=17)
    test, _, _ = mixed_frame(43, 50)
    test = test.fillna({"dest": "?", "temp": 0.0, "wind": 0.0})
    feed = {name: test[[name]].to_numpy(dtype=object if name in ("dest", "carrier") else np.float32) for name, _ in kinds}
    onnx_save("onnx_ordinal_forest", graph, feed, frame_columns(test), classes=[0, 1])


@case
def onnx_from_xgboost():
    import onnxmltools
    import xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    x = numbers(5, 400, 4)
    model = xgboost.XGBClassifier(n_estimators=8, max_depth=4, n_jobs=1, base_score=0.5)
    model.fit(x, (target(x, 5) > 0).astype(int))
    graph = onnxmltools.convert_xgboost(model, initial_types=[("X", FloatTensorType([None, 4]))], target_opset=15)
    test = numbers(6, 40, 4)
    made_by = {**onnx_version(), **xgb_version(), "onnxmltools": onnxmltools.__version__}
    onnx_save("onnx_from_xgboost", graph, {"X": test}, columns_of(test, ["f0", "f1", "f2", "f3"]), made_by, [0, 1])


@case
def onnx_from_lightgbm():
    import lightgbm
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    x = numbers(5, 400, 4, 0.0)
    model = lightgbm.LGBMClassifier(n_estimators=8, num_leaves=9, n_jobs=1, verbose=-1)
    model.fit(x, three(target(x, 5)))
    graph = onnxmltools.convert_lightgbm(model, initial_types=[("X", FloatTensorType([None, 4]))], target_opset=15)
    test = numbers(6, 40, 4, 0.0)
    made_by = {**onnx_version(), **lgb_version(), "onnxmltools": onnxmltools.__version__}
    onnx_save("onnx_from_lightgbm", graph, {"X": test}, columns_of(test, ["f0", "f1", "f2", "f3"]), made_by, [0, 1, 2])


def main(names):
    for name in names or [name for name in CASES if not name.startswith("xgboost1_")]:
        CASES[name]()
        size = sum(f.stat().st_size for f in (FIXTURES / name).rglob("*") if f.is_file())
        print(f"{name}: {size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
