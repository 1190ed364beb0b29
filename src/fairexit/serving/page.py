"""The page, in one piece, and the policy that lets nothing else run in it."""

import base64
import hashlib
import re
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


@cache
def page() -> str:
    """The page as HTML, with its styles and its script inside."""
    loader = ChoiceLoader(
        [
            PackageLoader("fairexit.serving", "page"),
            PackageLoader("fairexit.report"),  # the styles that all our pages share
        ]
    )
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template("index.html").render()


@cache
def content_security_policy() -> str:
    """The policy: only the styles and the script of the page, and requests to its own server."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash('script')}",
            f"style-src {_hash('style')}",
            "img-src blob: data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _hash(tag: str) -> str:
    """The source of the content of the only element of a kind."""
    (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", page(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"
