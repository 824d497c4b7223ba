"""Make a switch one of a pair: init, join, vtep-bootstrap, upgrade.  Each step may be repeated.

Plain functions that block; the agent uses none of them.
"""





