"""The tables that the reconcile step writes; a line here adds one."""

from typing import Final

from syncd.store.db_accounts import DB_ACCOUNTS
from syncd.store.resources import RESOURCES

RECONCILED: Final = (RESOURCES, DB_ACCOUNTS)
