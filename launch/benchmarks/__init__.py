"""The tables of launch/benchmark.py, a module for each thing that is measured."""
