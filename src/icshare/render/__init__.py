"""Values to text: rulesets and configuration files. Deterministic."""
