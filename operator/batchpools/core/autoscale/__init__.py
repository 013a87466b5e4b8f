"""Autoscaling: Azure Batch's formula language, the samples that formulas read, the preset, and when a pool is evaluated. Pure."""
