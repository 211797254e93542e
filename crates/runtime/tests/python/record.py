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


def graph_case(name, nodes, inputs, outputs, feed, columns, constants=(), ml=3, opset=17):
    from onnx import checker, helper

    types = {"float": 1, "double": 11, "string": 8, "int64": 7}
    infos = [helper.make_tensor_value_info(n, types[t], shape) for n, t, shape in inputs]
    outs = [helper.make_tensor_value_info(n, types[t], shape) for n, t, shape in outputs]
    graph = helper.make_graph(nodes, name, infos, outs, list(constants))
    sets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=9)
    checker.check_model(model)
    onnx_save(name, model, feed, columns)


def tensor(name, values, kind=None):
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray(values, dtype=kind), name)


@case
def onnx_operators():
    """One graph through the operators that no converter above emits."""
    from onnx import helper

    def node(kind, inputs, output, **attributes):
        outputs = output if isinstance(output, list) else [output]
        return helper.make_node(kind, inputs, outputs, **attributes)

    def ml(kind, inputs, output, **attributes):
        return helper.make_node(kind, inputs, [output], domain="ai.onnx.ml", **attributes)

    nodes = [
        # Texts: to numbers and back, numbers to texts.
        ml("CategoryMapper", ["port"], "mapped", cats_strings=["EWR", "JFK"], cats_int64s=[10, 20], default_int64=-5),
        ml("LabelEncoder", ["mapped"], "named", keys_int64s=[10, 20], values_strings=["a", "b"], default_string="c"),
        ml("LabelEncoder", ["named"], "scored", keys_strings=["a", "b"], values_floats=[1.5, 2.5], default_float=-0.5),
        node("Floor", ["x"], "floored"),
        node("Cast", ["floored"], "written", to=8),
        ml("LabelEncoder", ["written"], "read", keys_strings=["-1", "0", "1"], values_floats=[3.0, 5.0, 7.0], default_float=9.0),
        node("Cast", ["mapped"], "mapped_float", to=1),
        ml("FeatureVectorizer", ["mapped_float", "scored", "x"], "wide", inputdimensions=[1, 1, 3]),
        # Shapes.
        node("Split", ["wide", "split_"], ["left", "right"], axis=1),
        node("Slice", ["wide", "one_", "four_", "one_", "two_"], "sliced"),
        node("Transpose", ["left"], "turned", perm=[1, 0]),
        node("Transpose", ["turned"], "left_again"),
        node("Unsqueeze", ["x", "axis_"], "deep"),
        node("Squeeze", ["deep", "axis_"], "flat_again"),
        node("Expand", ["x", "pair_shape"], "expanded"),
        node("Gather", ["expanded", "picks"], "picked", axis=1),
        # Numbers.
        node("Gemm", ["left_again", "weights", "bias"], "linear", alpha=0.5, beta=2.0, transB=1),
        node("Clip", ["linear", "low", "high"], "clipped"),
        node("Softmax", ["linear"], "soft", axis=1),
        node("LogSoftmax", ["linear"], "logged", axis=-1),
        node("ReduceMax", ["wide"], "highest", axes=[1]),
        node("ReduceMean", ["wide"], "average", axes=[-1]),
        node("ReduceL2", ["wide"], "length", axes=[1]),
        node("ReduceSum", ["wide", "one_"], "total"),
        node("ReduceLogSumExp", ["wide"], "smooth", axes=[1]),
        node("ArgMin", ["wide"], "lowest", axis=1),
        node("Cast", ["lowest"], "lowest_float", to=1),
        node("Greater", ["x", "zero"], "above"),
        node("Not", ["above"], "not_above"),
        node("Or", ["above", "not_above"], "all"),
        node("Where", ["above", "x", "floored"], "chosen"),
        node("Where", ["all", "chosen", "zero"], "chosen_again"),
        node("Abs", ["x"], "size"),
        node("Sqrt", ["size"], "root"),
        node("Pow", ["size", "half"], "power"),
        node("Max", ["root", "x", "half"], "greatest"),
        node("Min", ["root", "x"], "least"),
        node("Softplus", ["x"], "softplus"),
        node("LeakyRelu", ["x"], "leaky", alpha=0.2),
        node("Elu", ["x"], "elu", alpha=0.7),
        node("HardSigmoid", ["x"], "hard", alpha=0.3),
        node("Sign", ["x"], "sign"),
        node("Round", ["x"], "round"),
        node("Reciprocal", ["greatest"], "reciprocal"),
        node("Mean", ["x", "leaky", "elu"], "mean"),
        node("IsNaN", ["x"], "lost"),
        node("Cast", ["lost"], "lost_float", to=1),
        node("Concat", ["read", "wide", "right", "sliced", "flat_again", "picked", "clipped", "soft", "logged", "highest",
                        "average", "length", "total", "smooth", "lowest_float", "chosen_again", "power", "greatest", "least",
                        "softplus", "leaky", "elu", "hard", "sign", "round", "reciprocal", "mean", "lost_float"], "y", axis=1),
    ]
    constants = [
        tensor("one_", [1], np.int64), tensor("two_", [2], np.int64), tensor("four_", [4], np.int64),
        tensor("axis_", [0], np.int64), tensor("split_", [3, 2], np.int64), tensor("pair_shape", [1, 2], np.int64), tensor("picks", [1, -2], np.int64),
        tensor("weights", [[1, -1, 0.5], [0.25, 2, -1]], np.float32), tensor("bias", [0.1, -0.2], np.float32),
        tensor("low", -1.0, np.float32), tensor("high", 2.0, np.float32), tensor("zero", [0], np.float32),
        tensor("half", [0.5], np.float32),
    ]
    x = numbers(51, 30, 1, 0.0)
    ports = np.array([["EWR", "JFK", "LGA"][i % 3] for i in range(30)], dtype=object)
    columns = [{"name": "x", "values": listed(x[:, 0])}, {"name": "port", "values": ports.tolist()}]
    inputs = [("x", "float", [None, 1]), ("port", "string", [None, 1])]
    graph_case("onnx_operators", nodes, inputs, [("y", "float", [None, None])], {"x": x, "port": ports.reshape(-1, 1)}, columns, constants)


@case
def onnx_tree_modes():
    """Every comparison, missing values either way, sums and averages, in one ensemble of version 3."""
    from onnx import helper

    modes = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
    arrays = {key: [] for key in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true")}
    weights = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}

    def node(tree, number, mode, value, yes, no, missing):
        row = (tree, number, tree % 2, mode, value, yes, no, missing)
        for key, item in zip(arrays, row):
            arrays[key].append(item)

    def leaf(tree, number, pairs):
        node(tree, number, "LEAF", 0.0, 0, 0, 0)
        for target, weight in pairs:
            for key, item in zip(weights, (tree, number, target, weight)):
                weights[key].append(item)

    for tree, (mode, missing) in enumerate((mode, missing) for mode in modes for missing in (0, 1)):
        node(tree, 0, mode, 1.0, 1, 2, missing)
        leaf(tree, 1, [(0, 2.0**tree)])
        leaf(tree, 2, [(1, 3.0), (0, 0.5)])
    attributes = {f"nodes_{key}": value for key, value in arrays.items()}
    attributes |= {f"target_{key}": value for key, value in weights.items()}
    trees = helper.make_node("TreeEnsembleRegressor", ["X"], ["y"], domain="ai.onnx.ml", n_targets=2, aggregate_function="AVERAGE", base_values=[0.25, -1.0], **attributes)
    x = np.array([[a, b] for a in (0.0, 1.0, 1.0 + 1e-7, 2.0, np.nan, np.inf) for b in (1.0, -np.inf, np.nan)], dtype=np.float32)
    columns = [{"name": f"f{j}", "values": [None if v != v else (1e39 if v == np.inf else -1e39 if v == -np.inf else v) for v in x[:, j].tolist()]} for j in range(2)]
    graph_case("onnx_tree_modes", [trees], [("X", "float", [None, 2])], [("y", "float", [None, 2])], {"X": x}, columns)


@case
def onnx_tree_doubles():
    """Thresholds of 64 bits that 32 bits could not tell apart."""
    from onnx import helper

    near = 1.0 + 2.0**-40
    trees = helper.make_node(
        "TreeEnsembleRegressor", ["X"], ["y"], domain="ai.onnx.ml", n_targets=1,
        nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0], nodes_modes=["BRANCH_LT", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0], nodes_values_as_tensor=tensor("v", [near, 0.0, 0.0], np.float64),
        target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0], target_weights_as_tensor=tensor("w", [1.0, 2.0], np.float64),
    )
    x = np.array([[1.0], [near], [1.0 + 2.0**-41], [2.0]], dtype=np.float64)
    columns = [{"name": "X", "values": listed(x[:, 0])}]
    graph_case("onnx_tree_doubles", [trees], [("X", "double", [None, 1])], [("y", "float", [None, 1])], {"X": x}, columns)


@case
def onnx_tree_sets():
    """Version 5: nodes and leaves apart, sets of members, two trees of which one is a shared leaf."""
    from onnx import helper

    members = [1.0, 3.0, 40.0, np.nan, 2.5, np.nan]
    trees = helper.make_node(
        "TreeEnsemble", ["X"], ["y"], domain="ai.onnx.ml", n_targets=1, aggregate_function=1, post_transform=0,
        tree_roots=[0, 3], nodes_modes=tensor("m", [6, 0, 6, 1], np.uint8), nodes_featureids=[0, 1, 0, 1],
        nodes_splits=tensor("s", [0, 0.5, 0, 9.0], np.float32), nodes_truenodeids=[1, 0, 2, 3], nodes_falsenodeids=[2, 1, 3, 3],
        nodes_trueleafs=[0, 1, 1, 1], nodes_falseleafs=[0, 1, 1, 1], nodes_missing_value_tracks_true=[0, 1, 0, 0],
        membership_values=tensor("v", members, np.float32),
        leaf_targetids=[0, 0, 0, 0], leaf_weights=tensor("l", [1.0, 2.0, 4.0, 8.0], np.float32),
    )
    x = np.array([[a, b] for a in (0.0, 1.0, 2.0, 2.5, 3.0, 40.0, np.nan) for b in (0.0, 1.0, np.nan)], dtype=np.float32)
    graph_case("onnx_tree_sets", [trees], [("X", "float", [None, 2])], [("y", "float", [None, 1])], {"X": x}, columns_of(x, ["f0", "f1"]), ml=5)


@case
def onnx_mlflow_directory():
    """What mlflow.onnx saves, with a signature that names the columns."""
    import mlflow.onnx
    import pandas as pd
    from mlflow.models import infer_signature
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    x = numbers(5, 300, 3, 0.0)
    frame = pd.DataFrame(x, columns=["temp", "wind", "rain"])
    model = LogisticRegression().fit(x, (target(x, 5) > 0).astype(int))
    graph = to_onnx(model, x[:1], target_opset=17, options={"zipmap": False})
    path = folder("onnx_mlflow_directory")
    shutil.rmtree(path)
    mlflow.onnx.save_model(graph, str(path), signature=infer_signature(frame, model.predict_proba(x)))
    test = numbers(6, 30, 3, 0.0)
    labels, p = session(graph).run(None, {"X": test})
    save("onnx_mlflow_directory", columns_of(test, list(frame.columns)), classes=[0, 1], probabilities=p, labels=labels, made_by=onnx_version())


def main(names):
    for name in names or [name for name in CASES if not name.startswith("xgboost1_")]:
        CASES[name]()
        size = sum(f.stat().st_size for f in (FIXTURES / name).rglob("*") if f.is_file())
        print(f"{name}: {size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
