"""What the two agents say to each other, and what is believed of it.

Pure: bytes and times in, values out; no clock, socket or file.
"""
