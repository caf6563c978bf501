"""Why a statement differs from another: a page for the customer, in their language, and for the clerk; and the API."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from headend.billing.explain import to_json
from headend.billing.statement import Statement, parse_statement
from headend.documents.explanation import ExplanationView, explanation_view
from headend.documents.explanation_texts import texts_of
from headend.documents.texts import locale_named
from headend.errors import InvalidInput, NotFound
from headend.store.explaining import explained
from headend.web.access import CLERK, CUSTOMER, SITE, Page, known_user
from headend.web.api import as_json, endpoint
from headend.web.render import render
from headend.web.statements import kept_for


@dataclass(frozen=True, slots=True)
class ExplainingPage:
    """What the page shows; `view` is None where there is nothing to compare with, and `problem` says why.

    Parameters
    ----------
    compared_with
        before, last-year, or the number of a statement.
    """

    statement: Statement
    language: str
    texts: dict[str, str]
    compared_with: str
    view: ExplanationView | None
    problem: str


async def page(request: web.Request) -> web.Response:
    """One statement explained, as a way from the old total to the new."""
    site, user, asked = request.app[SITE], known_user(request), request.query.get("with") or "before"

    def look() -> ExplainingPage:
        kept = kept_for(site, user, request.match_info["id"])
        made = parse_statement(kept.document)
        locale = made.customer.locale
        language, texts = texts_of(locale_named(locale).language)
        try:
            with site.database.read() as tx:
                view = explanation_view(explained(tx, kept, asked), locale)
        except NotFound:
            if asked not in ("before", "last-year"):
                raise
            problem = texts["none_before" if asked == "before" else "none_last_year"]
            return ExplainingPage(made, language, texts, asked, None, problem)
        except InvalidInput as error:
            return ExplainingPage(made, language, texts, asked, None, texts["not_comparable"].format(why=error))
        return ExplainingPage(made, language, texts, asked, view, "")

    return await render(request, "customer/explanation.html", page=await asyncio.to_thread(look))


class TotalOut(BaseModel):
    """What a statement comes to, and its days, both included."""

    first: str
    last: str
    gross: str


class PartOut(BaseModel):
    """One cause's part of the difference."""

    cause: str = Field(
        description="days, use, season, when, tier, price, fixed, demand, surcharges, credits, tax_base, tax_rate,"
        " services, rounding"
    )
    amount: str


class SideOut(BaseModel):
    """One service on one of the two statements."""

    days: int
    use: str
    unit: str
    tariffs: list[str]
    gross: str


class ServiceOut(BaseModel):
    """One commodity at one usage point; a side is left out where only the other statement has it."""

    commodity: str
    usage_point: str
    before: SideOut | SkipJsonSchema[None]
    now: SideOut | SkipJsonSchema[None]
    parts: list[PartOut]


class ExplanationOut(BaseModel):
    """Why a statement differs from another: `difference` = now − before = sum of `parts`."""

    statement: str
    compared_with: str
    account: str
    currency: str
    before: TotalOut
    now: TotalOut
    difference: str
    parts: list[PartOut]
    services: list[ServiceOut]


_With = Annotated[
    str,
    Field(
        alias="with",
        max_length=128,
        description="number of an issued statement of the account; or before, last-year",
    ),
]


@endpoint
async def explanation(request: web.Request, id: str, /, with_: _With = "before") -> r200[ExplanationOut]:
    """Why a statement differs from the account's one before, from that of last year's month, or from another."""
    site, user = request.app[SITE], known_user(request)

    def look() -> dict[str, Any]:
        kept = kept_for(site, user, id)
        with site.database.read() as tx:
            return to_json(explained(tx, kept, with_))

    return as_json(ExplanationOut.model_validate(await asyncio.to_thread(look)), leave_out_none=True)


PAGES = (
    Page("GET", "/customer/statements/{id}/explanation", page, CUSTOMER),
    Page("GET", "/clerk/statements/{id}/explanation", page, CLERK),
    Page("GET", "/api/v1/statements/{id}/explanation", explanation, CLERK | CUSTOMER),
)
