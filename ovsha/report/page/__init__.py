"""The page at /: the picture of the pair as it is now, and what happened in the last day.

    page      the whole page, of the document of `ovsha status --json` and recorded events, which are a strip and a list
    diagram   the two switches with what is around and between them, as SVG
    html      the page's style and script, and elements in which all text is escaped

It is one file that asks for nothing from elsewhere.
"""
