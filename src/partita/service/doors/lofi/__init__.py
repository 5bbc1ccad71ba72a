"""The door of lofi.nvim: JSON-RPC over standard input and output, as the program `partita-lofi-daemon`.

`program` owns the process and its streams, `protocol` the lines, `asked` the parameters, `rpc` the methods and the
waiting list, `tracks` the cache, `backends` what plays for which name, `player` the engine. Whatever is needed to
answer without a song imports nothing heavy, so that the process answers as soon as it is started.
"""
