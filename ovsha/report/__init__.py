"""What is told of a decision: status, problems, metrics, history, the page.

Pure: nothing here decides, and nothing has a clock, a socket or a file.
"""
