"""Page rendering: a template compiled once, filled with many rows."""

from html import escape
from string import Template

from actorfaas import function

PAGE = Template("<html><head><title>$title</title></head><body><table>$rows</table></body></html>")
ROW = Template("<tr class='$parity'>$cells</tr>")


def render(title: str, rows: int, columns: int) -> str:
    """A table of `rows` × `columns` cells, all text escaped."""
    rendered = []
    for row in range(rows):
        cells = "".join(f"<td>{escape(f'<{row}&{column}>')}</td>" for column in range(columns))
        rendered.append(ROW.substitute(parity="odd" if row % 2 else "even", cells=cells))
    return PAGE.substitute(title=escape(title), rows="".join(rendered))


@function
def html_table(event: dict) -> dict:
    """Render a page and say how long it is and how many cells it has."""
    page = render(event.get("title", "table"), event["rows"], event["columns"])
    return {"bytes": len(page.encode()), "cells": page.count("<td>")}
