"""policies.yaml: the frozen model (model.py), the judgement (decide.py), its own tests (cases.py). Pure."""
