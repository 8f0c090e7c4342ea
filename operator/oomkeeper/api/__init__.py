"""The custom resources as pydantic models: the one definition from which crds/ is generated."""
