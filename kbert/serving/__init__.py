"""SavedModels: export, prediction, HTTP."""
