"""Reporting guidelines and laws, item by item: what is answered where, and what is left."""

from fairexit.report.guidelines.ai_act import ANNEX_IV, ARTICLES
from fairexit.report.guidelines.claim import CLAIM
from fairexit.report.guidelines.fda import FDA
from fairexit.report.guidelines.future_ai import FUTURE_AI
from fairexit.report.guidelines.standing_together import STANDING_TOGETHER
from fairexit.report.guidelines.tripod import TRIPOD

OF_THE_CARD = (TRIPOD, CLAIM)
"""Guidelines whose items the model card lists."""

GUIDELINES = (*OF_THE_CARD, STANDING_TOGETHER, FUTURE_AI, FDA, ANNEX_IV, ARTICLES)
