"""A seeded fuzzer of every door: tables, YAML, runs, prepared data, pictures and split files.

`python -m tests.fuzz --cases 20000 --seed 0 --log FILE` runs many cases and resumes if interrupted;
`python -m tests.fuzz --case 1234 --seed 0 --keep DIR` repeats one and keeps its files.
"""
