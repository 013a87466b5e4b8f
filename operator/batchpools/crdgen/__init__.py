"""From the pydantic models in api to crds/*.yaml, by the rules of a structural schema. Nothing else makes CRDs."""
