"""What the operator asked for, as frozen values from the environment. Belongs here: names, formats, defaults, complaints.

Does not belong here: what anybody does with a value. Only `cli` and `app` read settings; components are handed their part.
"""
