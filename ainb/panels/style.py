"""How everything that ainb shows looks: rules for one scope (`.ainb`), colours only from the front end's own variables."""

from __future__ import annotations

_PANEL = ".ainb.panel"


def _tone(selector: str, colour: str) -> str:
    # The front end's signal colours are too pale for text on white and too dark on black; the text's own colour mends both.
    return f"{selector}{{color:{colour};color:color-mix(in srgb,{colour} 60%,currentColor)}}"


_STYLE = (
    ".ainb{font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.5;"
    "color:var(--jp-content-font-color1,inherit);max-width:64em;overflow-wrap:anywhere}"
    ".ainb p{margin:.2em 0 .6em}"
    ".ainb pre{white-space:pre-wrap;overflow-wrap:anywhere}"
    ".ainb table{color:inherit;font-size:inherit;overflow-wrap:break-word}"
    ".ainb .scroll{overflow-x:auto}"
    ".ainb .as-typed{white-space:pre-wrap}"
    ".ainb .foot{color:var(--jp-content-font-color2,#666);font-size:.88em;margin:.5em 0 0;padding-top:.15em;"
    "border-top:1px solid var(--jp-border-color2,#ddd)}"
    f"{_tone('.ainb .warn', 'var(--jp-warn-color1,#8a5300)')}"
)

# By the kind of the box, so that a reply does not carry the rules of tables.
_STYLES = {
    "page": ".ainb.page iframe{box-sizing:border-box;width:100%;height:24em;border:1px solid var(--jp-border-color2,#ddd);background:#fff}",
    "words": ".ainb.words table{border-collapse:collapse;margin:.3em 0 1em}"
    ".ainb.words caption{text-align:left;font-weight:600;padding:0 0 .25em}"
    ".ainb.words th,.ainb.words td{padding:.2em 1.6em .2em 0;text-align:left;vertical-align:top;font-weight:400;"
    "border-bottom:1px solid var(--jp-border-color2,#ddd);background:none}"
    ".ainb.words .of{font-weight:600;margin:.3em 0 .1em}"
    ".ainb.words th[scope=row]{white-space:nowrap}"
    ".ainb.words thead th{font-weight:500;color:var(--jp-content-font-color2,#666)}",
    "wait": ".ainb.wait progress{width:min(32em,100%);height:.8em;accent-color:var(--jp-brand-color1,#1769aa)}",
    "panel": f"{_PANEL}{{max-width:76em;font-variant-numeric:tabular-nums;position:relative}}"
    f"{_PANEL} .sr{{position:absolute;width:1px;height:1px;margin:0;overflow:hidden;clip-path:inset(50%);white-space:nowrap}}"
    f"{_PANEL} p{{margin:.2em 0}}"
    f"{_PANEL} .quiet{{color:var(--jp-content-font-color2,#666)}}"
    f"{_PANEL} .title{{font-weight:600;margin:0 0 .1em}}"
    f"{_PANEL} .sums{{display:flex;flex-wrap:wrap;gap:.2em 2.4em;margin:.1em 0 .8em}}"
    f"{_PANEL} .sums b{{display:block;font-size:1.55em;font-weight:600;line-height:1.25}}"
    f"{_PANEL} .side{{display:flex;flex-wrap:wrap;gap:0 3.2em;align-items:flex-start}}"
    f"{_PANEL} table{{border-collapse:collapse;margin:.5em 0 .9em;border:0;table-layout:auto}}"
    f"{_PANEL} caption{{caption-side:top;text-align:left;font-weight:600;padding:0 0 .25em;color:inherit}}"
    f"{_PANEL} th,{_PANEL} td{{padding:.2em 1.4em .2em 0;text-align:left;vertical-align:top;font-weight:400;max-width:24em;"
    "white-space:normal;border:0;border-bottom:1px solid var(--jp-border-color2,#ddd);background:none}"
    f"{_PANEL} thead,{_PANEL} thead tr,{_PANEL} tbody tr,{_PANEL} tfoot tr{{background:none;border:0;text-align:left}}"
    f"{_PANEL} th.n,{_PANEL} td.n{{text-align:right;white-space:nowrap}}"
    f"{_PANEL} .w{{white-space:nowrap}}"
    f"{_PANEL} td.m{{min-width:16em;max-width:34em}}"
    f"{_PANEL} thead th{{font-weight:500;color:var(--jp-content-font-color2,#666);white-space:nowrap}}"
    f"{_PANEL} tfoot th,{_PANEL} tfoot td{{border-bottom:0;font-weight:600}}"
    f"{_PANEL} .bar{{display:inline-block;height:.62em;min-width:1px;border-radius:1px;opacity:.85;vertical-align:middle;"
    "background:var(--jp-brand-color1,#1769aa)}"
    f"{_tone(f'{_PANEL} .good', 'var(--jp-success-color1,#1b6e3c)')}"
    f"{_tone(f'{_PANEL} .warn', 'var(--jp-warn-color1,#8a5300)')}"
    f"{_tone(f'{_PANEL} .bad', 'var(--jp-error-color1,#b3261e)')}"
    f"{_PANEL} progress{{display:block;width:min(32em,100%);height:.8em;margin:.35em 0;accent-color:var(--jp-brand-color1,#1769aa)}}"
    f"{_PANEL} figure{{margin:.6em 0 .1em}}"
    f"{_PANEL} figure img{{max-width:100%;height:auto;background:none}}",
}

# Dollars and names are no formulas: MathJax, of JupyterLab and of exported pages, reads everything between two dollar signs as one.
NO_MATHS = "mathjax_ignore tex2jax_ignore"
MAY_HOLD_MATHS = {"reply", "page"}


def classes(kind: str) -> str:
    """The classes of a kind of box."""
    return f"ainb {kind}" if kind in MAY_HOLD_MATHS else f"ainb {kind} {NO_MATHS}"


def style(kind: str) -> str:
    """The rules of a kind of box."""
    return f"<style>{_STYLE}{_STYLES.get(kind, '')}</style>"
