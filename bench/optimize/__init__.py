"""Optimization: what the search reaches, beside Olive and the best known; `python -m bench optimize [rows] [regret] [recipes]`.

Everything is resumable: what was measured is kept below the state folder, and `--fresh` starts anew.
"""
