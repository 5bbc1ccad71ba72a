"""The door for clients of OpenAI's and OpenRouter's protocols: chat completions with audio out, speech, models."""

PORT = 8002
"""The usual port: that of the original's standalone server of this protocol."""
