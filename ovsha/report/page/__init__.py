"""The page at /: the picture of the pair as it is now, and what happened in the last day.

    render     the whole page, of the document of `ovsha status --json` and recorded events
    picture    the two switches with what is around and between them, as SVG
    timeline   the recorded events as a strip and a list
    events     the recorded events themselves, from the disk
    assets     the page's style and script

It is one file that asks for nothing from elsewhere.  What it shows goes through `markup`,
which escapes it.
"""
