"""Measurements as ratios, each made in one run on one machine."""
