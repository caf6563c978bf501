"""Pages and API: what operators, clerks, customers and other systems see."""

from headend.web.app import make_app

__all__ = ["make_app"]
