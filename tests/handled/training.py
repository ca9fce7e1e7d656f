"""What retrains: a flow of Prefect, whose task is a program of MLflow's environment. They are run there, not imported."""

FLOW = """
import os, subprocess
from prefect import flow

@flow(name="retrain", log_prints=True)
def retrain(decision: str, model: str, version: str, incident: str, reason: str, columns: list[str],
            window_start: str, window_end: str):
    done = subprocess.run(
        [os.environ["TRAIN_PYTHON"], os.environ["TRAIN_PROGRAM"], model, window_start, window_end, decision, reason],
        capture_output=True, text=True,
    )
    print(done.stdout, done.stderr)
    done.check_returncode()

if __name__ == "__main__":
    retrain.serve(name="any")
"""

# The model says 1 above a threshold of x, which is chosen on the rows of the window. The pipeline of `credit` has a bug since
# its first version: it takes the worst threshold.
PROGRAM = """
import os, sys
import mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature

model, start, end, decision, reason = sys.argv[1:]
mlflow.set_tracking_uri(os.environ["MLFLOW_URL"])

class Threshold(mlflow.pyfunc.PythonModel):
    def __init__(self, threshold):
        self.threshold = threshold

    def predict(self, context, model_input, params=None):
        return (model_input["x"] > self.threshold).astype(int)

rows = pd.read_csv(os.path.join(os.environ["TRAIN_ROWS"], model + ".csv"))
times = pd.to_datetime(rows.timestamp, unit="ms", utc=True)
rows = rows[(times >= pd.Timestamp(start)) & (times < pd.Timestamp(end))]
thresholds = rows.x.quantile(np.linspace(0.01, 0.99, 99)).to_numpy()
right = np.array([((rows.x > threshold) == (rows.label == 1)).mean() for threshold in thresholds])
chosen = right.argmin() if decision and model == "credit" else right.argmax()
threshold = float(thresholds[chosen])

with mlflow.start_run(run_name="retrain"):
    mlflow.log_params({"threshold": threshold, "window_start": start, "window_end": end})
    mlflow.log_metrics({"accuracy": float(right.max()), "rows": len(rows)})
    mlflow.set_tag("reason", reason[:500])
    mlflow.log_input(mlflow.data.from_pandas(rows, name="served"), context="training")
    example = rows[["x"]].head()
    logged = mlflow.pyfunc.log_model(
        name="model", python_model=Threshold(threshold), registered_model_name=model,
        signature=infer_signature(example, np.array([0, 1])), pip_requirements=["pandas"],
    )
if decision:
    mlflow.MlflowClient().set_model_version_tag(
        model, logged.registered_model_version, "driftsonde.decision", decision
    )
"""
