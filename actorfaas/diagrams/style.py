"""What pictures look like: colours for light and dark, icons of the types of states, signs of their statuses."""

from __future__ import annotations

ICONS = {
    "Task": '<path d="M3 3h10v10H3zM6 1v2M10 1v2M6 13v2M10 13v2M1 6h2M1 10h2M13 6h2M13 10h2"/>',
    "Pass": '<path d="M1 8h12M9 4l4 4-4 4"/>',
    "Choice": '<path d="M8 1l7 7-7 7-7-7z"/>',
    "Wait": '<circle cx="8" cy="8" r="6.5"/><path d="M8 4v4l3 2"/>',
    "Succeed": '<circle cx="8" cy="8" r="6.5"/><path d="M5 8l2.2 2.5L11 6"/>',
    "Fail": '<circle cx="8" cy="8" r="6.5"/><path d="M5.5 5.5l5 5M10.5 5.5l-5 5"/>',
    "Parallel": '<path d="M2 8h3M5 3v10M5 3h8M5 8h8M5 13h8"/>',
    "Map": '<path d="M2 5h8v8H2zM5 5V2h8v8h-3"/>',
    "Function": '<path d="M5 2L1.5 8 5 14M11 2l3.5 6L11 14"/>',
    "Workflow": '<path d="M1 5h5v6H1zM10 5h5v6h-5zM6 8h4"/>',
    "Client": '<circle cx="8" cy="5" r="3"/><path d="M2 15c0-7 12-7 12 0"/>',
}
"""16 × 16 pixels, strokes only: states by their types, and what calls and is called."""

SIGNS = {
    "running": '<path d="M-2.5 -4l6 4-6 4z"/>',
    "succeeded": '<path d="M-4 0l3 3 5-6"/>',
    "failed": '<path d="M-3 -3l6 6M3 -3l-6 6"/>',
    "timed_out": '<path d="M0 -4v4h3"/>',
    "cancelled": '<path d="M-3.5 0h7"/>',
    "bottleneck": '<path d="M0 -4.5v5M0 3.5v.5"/>',
}
"""Around 0, 0, in a circle of radius 8: statuses are told apart without colours, too."""

_RULES = """
.asl-diagram{font-family:system-ui,"DejaVu Sans",sans-serif}
.asl-diagram .name{font-size:13px}
.asl-diagram .detail{font-size:11px}
.asl-diagram .line{fill:none;stroke:currentColor;stroke-width:1.4}
.asl-diagram .line.catch{stroke-dasharray:5 4}
.asl-diagram .line.critical{stroke-width:3.6}
.asl-diagram .label.critical{font-weight:600}
.asl-diagram .arrow path,.asl-diagram .start,.asl-diagram .dot{fill:currentColor}
.asl-diagram .end{fill:none;stroke:currentColor;stroke-width:1.6}
.asl-diagram .state>.shape{fill:currentColor;stroke:currentColor;stroke-width:1.3}
.asl-diagram .state>.behind{fill:none}
.asl-diagram .branch{fill:none;stroke:currentColor;stroke-dasharray:2 3;stroke-opacity:.6}
.asl-diagram .state>.icon{fill:none;stroke:currentColor;stroke-width:1.4;stroke-linecap:round;stroke-linejoin:round}
.asl-diagram .state:not([data-status=""])>.shape{stroke-width:2.4}
.asl-diagram .sign circle{fill:currentColor}
.asl-diagram .sign path{fill:none;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
"""

_PARTS = (
    ("ground", (".ground",)),
    ("name", (".name",)),
    ("detail", (".detail",)),
    ("line", (".line", ".arrow", ".start", ".dot", ".end", ".pass", ".client")),
    ("task", (".task", ".function", ".line.critical", ".arrow.critical")),
    ("choice", (".choice",)),
    ("wait", (".wait",)),
    ("flow", (".parallel", ".map", ".workflow")),
    ("good", (".succeed",)),
    ("wrong", (".fail", ".line.catch", ".arrow.catch", ".label.catch")),
    ("task", ("[data-status=running]",)),
    ("good", ("[data-status=succeeded]",)),
    ("wrong", ("[data-status=failed]", "[data-status=timed_out]")),
    ("line", ("[data-status=cancelled]",)),
    ("choice", ("[data-status=bottleneck]",)),
)
"""What has which colour. Later ones have precedence: a state's status over its type."""

_LIGHT = {
    "ground": "#fff",
    "name": "#1e293b",
    "detail": "#475569",
    "line": "#64748b",
    "task": "#2563eb",
    "choice": "#b45309",
    "wait": "#7c3aed",
    "flow": "#0f766e",
    "good": "#15803d",
    "wrong": "#b91c1c",
}
_DARK = {
    "ground": "#0f172a",
    "name": "#f1f5f9",
    "detail": "#cbd5e1",
    "line": "#94a3b8",
    "task": "#60a5fa",
    "choice": "#fbbf24",
    "wait": "#a78bfa",
    "flow": "#2dd4bf",
    "good": "#4ade80",
    "wrong": "#f87171",
}


def _scheme(colours: dict[str, str], tint: str) -> str:
    """The rules of one scheme. Shapes take the colour of their group as `currentColor`; custom properties would be
    shorter, but not every program that shows SVG knows them."""
    name = ".asl-diagram"
    rules = [f"{','.join(f'{name} {part}' for part in parts)}{{color:{colours[colour]}}}" for colour, parts in _PARTS]
    return "\n".join(
        [
            *rules,
            f"{name} .ground{{fill:{colours['ground']}}}",
            f"{name} .name{{fill:{colours['name']}}}",
            f"{name} .detail{{fill:{colours['detail']}}}",
            f"{name} .label.catch .detail{{fill:{colours['wrong']}}}",
            f"{name} .state>.shape{{fill-opacity:{tint}}}",
            f"{name} .parallel>.shape,{name} .map>.shape{{fill-opacity:.05}}",
            f"{name} .sign path{{stroke:{colours['ground']}}}",
        ]
    )


STYLE = f"{_RULES}{_scheme(_LIGHT, '.1')}\n@media(prefers-color-scheme:dark){{\n{_scheme(_DARK, '.2')}\n}}\n"
