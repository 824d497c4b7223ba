"""Everything about clagd and other MLAG sources: which there are, what they print, and what that means."""
