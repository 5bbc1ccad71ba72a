"""The door of ace-step-rs: its daemon on a Unix socket, its command line and its client.

`protocol` reads and writes the lines, `song` makes a request of one, `player` makes the song and the file, `daemon`
serves the socket, `program` and `client` are the two command lines. `protocol` and `client` import nothing heavy.
"""

SOCKET = "/tmp/ace-step-gen.sock"
"""Where the daemon listens and the client looks, unless told otherwise."""
