"""Commands are disturbed at random moments and called again; the result is as if undisturbed.

`python -m tests.kills --cases 500 --seed 0 --log FILE` runs many cases and resumes if interrupted;
`python -m tests.kills --case 123 --seed 0 --keep DIR` repeats one and keeps its files.
"""
