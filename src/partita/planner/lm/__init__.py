"""The language side of the ACE-Step 1.5 planner: vocabulary, prompts, grammar, parsing and sampling filters.

Knows nothing of the network or its cache: it says what is fed, what may come next, and what came out. Written from the
published behaviour of the planner; `original=True`, wherever it is offered, gives that behaviour to the letter.
"""
