"""Estimators for scikit-learn: what rnncore.sklearn offers is made here."""
