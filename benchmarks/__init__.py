"""Ratios against peers and limits, measured in one run on one machine: `make bench`. Not part of the wheel."""
