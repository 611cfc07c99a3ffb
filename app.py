"""Streamlit entry: `streamlit run app.py` or `kb serve`."""

from kb.ui.shell import run

run()
