"""The values everything else rests on: what is asked (request), what a model can do (card), what will be done
(resolved request, plan) and what was done (record). Imports no tensors."""
