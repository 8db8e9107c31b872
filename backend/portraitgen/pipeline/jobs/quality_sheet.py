# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sheet of a take's quality: one HTML file with its pictures and plots inside, and no script.

All that it says comes from a shot, which is a stranger's: every text is escaped.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from ...images import as_jpeg
from ...plain_text import printable
from ...storage import write_bytes

_WIDTH, _HEIGHT, _LEFT, _BELOW = 640, 120, 46, 18
_JPEG_QUALITY = 88
_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; background: #1d1d1f; color: #ddd; margin: 2em auto;
  max-width: 1160px; padding: 0 1em }
h1 { font-size: 1.4em } h2 { font-size: 1.1em; margin-top: 2em }
.measures { display: grid; grid-template-columns: repeat(auto-fit, minmax(460px, 1fr)); gap: 1em }
figure { margin: 0; background: #28282b; padding: .8em; border-radius: 6px }
figcaption b { color: #fff } .over { color: #ff8a70 } .fine { color: #8fd694 }
svg { width: 100%; height: auto } img { width: 100%; display: block; margin-top: .4em }
table { border-collapse: collapse; width: 100% }
td { border-top: 1px solid #3a3a3d; padding: .25em .6em; vertical-align: top;
  overflow-wrap: anywhere }
td:first-child { color: #aaa; white-space: nowrap }
"""


@dataclass(frozen=True)
class Measure:
    """What was measured in each frame.

    Attributes:
        name, unit: as people read them.
        limit: None for none.
        values: by frame; None where it could not be measured.
    """

    name: str
    unit: str
    limit: float | None
    values: Mapping[int, float | None]


@dataclass(frozen=True)
class Thumbnail:
    """A frame's plate, take and difference side by side, uint8 (S, 3 S, 3) RGB."""

    frame: int
    picture: np.ndarray


@dataclass(frozen=True)
class Sheet:
    """All that a sheet says.

    Attributes:
        record: what is known of how the frames were made, as plain data.
    """

    title: str
    measures: tuple[Measure, ...]
    thumbnails: tuple[Thumbnail, ...]
    notes: tuple[str, ...]
    record: Mapping[str, object]


def write_sheet(path: Path, sheet: Sheet) -> None:
    """Writes a sheet; what it shows needs nothing but the file."""
    write_bytes(path, "".join(_page(sheet)).encode())


def _page(sheet: Sheet) -> Iterator[str]:
    title = _text(sheet.title)
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    # Whatever a text might still smuggle in, nothing of it runs or is fetched.
    yield '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
    yield " img-src data:; style-src 'unsafe-inline'\">"
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
    for note in sheet.notes:
        yield f"<p>{_text(note)}</p>"
    yield '<h2>Measures</h2><div class="measures">'
    for measure in sheet.measures:
        yield _figure(measure)
    yield "</div><h2>Frames to look at first</h2><p>Plate, take, difference four times.</p>"
    yield '<div class="measures">'
    for each in sheet.thumbnails:
        yield f"<figure><figcaption><b>{each.frame}</b> {_said(each.frame, sheet.measures)}"
        yield f'</figcaption><img alt="frame {each.frame}" src="{_data(each.picture)}"></figure>'
    yield "</div><h2>Record</h2><table>"
    for name, value in _rows(sheet.record):
        yield f"<tr><td>{_text(name)}</td><td>{_text(value)}</td></tr>"
    yield "</table></body></html>\n"


def _figure(measure: Measure) -> str:
    known = {frame: value for frame, value in measure.values.items() if value is not None}
    if not known:
        return (
            f"<figure><figcaption><b>{_text(measure.name)}</b>: not measured</figcaption></figure>"
        )
    worst = max(known, key=lambda frame: known[frame])
    over = measure.limit is not None and known[worst] > measure.limit
    limit = f", limit {measure.limit:g}" if measure.limit is not None else ""
    mean = sum(known.values()) / len(known)
    return (
        f"<figure><figcaption><b>{_text(measure.name)}</b>"
        f' <span class="{"over" if over else "fine"}">most {known[worst]:.3g} in frame {worst},'
        f" mean {mean:.3g}{limit}</span><br>{_text(measure.unit)}</figcaption>"
        f"{_plot(known, measure.limit)}</figure>"
    )


def _plot(values: Mapping[int, float], limit: float | None) -> str:
    """A curve over the frames, with its limit; gaps stay open."""
    frames = list(values)
    first, last = frames[0], frames[-1]
    high = max(*values.values(), limit or 0.0, 1e-9) * 1.1

    def x(frame: int) -> float:
        share = (frame - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - 8)

    def y(value: float) -> float:
        return 6 + (1 - value / high) * (_HEIGHT - 6 - _BELOW)

    step = min((b - a for a, b in zip(frames, frames[1:], strict=False)), default=1)
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame - runs[-1][-1] == step:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    lines = []
    for run in runs:
        points = " ".join(f"{x(frame):.1f},{y(values[frame]):.1f}" for frame in run)
        if len(run) == 1:
            lines.append(f'<circle cx="{x(run[0]):.1f}" cy="{y(values[run[0]]):.1f}" r="2.5"/>')
        else:
            lines.append(f'<polyline points="{points}" fill="none" stroke-width="1.6"/>')
    base = y(0)
    axis = f'<line x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{base}" y2="{base}" stroke="#666"/>'
    words = [(0, base, "0", "end"), (0, y(high / 1.1), f"{high / 1.1:.3g}", "end")]
    marks = "".join(
        f'<text x="{_LEFT - 5}" y="{at + 4:.1f}" text-anchor="{anchor}">{word}</text>'
        for _, at, word, anchor in words
    )
    marks += f'<text x="{_LEFT}" y="{_HEIGHT - 3}">{first}</text>'
    marks += f'<text x="{_WIDTH - 8}" y="{_HEIGHT - 3}" text-anchor="end">{last}</text>'
    if limit is not None:
        at = f"{y(limit):.1f}"
        marks += f'<line x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{at}" y2="{at}"'
        marks += ' stroke="#ff8a70" stroke-dasharray="5 4"/>'
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="11" role="img">'
        f'<g fill="#aaa">{axis}{marks}</g>'
        f'<g stroke="#7fb2ff" fill="#7fb2ff">{"".join(lines)}</g></svg>'
    )


def _said(frame: int, measures: tuple[Measure, ...]) -> str:
    parts = []
    for measure in measures:
        value = measure.values.get(frame)
        if value is not None and value > 0:
            over = measure.limit is not None and value > measure.limit
            parts.append(
                f'<span class="{"over" if over else ""}">{_text(measure.name.lower())}'
                f" {value:.3g}</span>"
            )
    return ", ".join(parts)


def _rows(data: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Plain data as lines of a table."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _rows(value, f"{name} {key}".strip().replace("_", " "))
    elif isinstance(data, list | tuple) and any(isinstance(each, Mapping) for each in data):
        for number, each in enumerate(data, 1):
            yield from _rows(each, f"{name} {number}")
    elif isinstance(data, list | tuple):
        yield name, ", ".join(str(each) for each in data)
    elif data not in (None, ""):
        yield name, str(data)


def _data(picture: np.ndarray) -> str:
    jpeg = as_jpeg(picture, _JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _text(text: str) -> str:
    return escape(printable(str(text)))
