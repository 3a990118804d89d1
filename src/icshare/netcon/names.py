"""The flat function about names of connections.

Source:
    MicrosoftDocs/sdk-api netcon (NcIsValidConnectionName); the rule is what conformance tests of ReactOS observe.
"""

# ruff: noqa: N802 (the names are Windows')

from icshare.netcon.constants import NETCON_MAX_NAME_LEN

_FORBIDDEN = frozenset('\\/:\t*?<>|"\0')


def NcIsValidConnectionName(pszwName: str | None) -> bool:  # noqa: N803 (likewise)
    r"""Tell whether *pszwName* can be the name of a connection.

    It cannot when it is None, empty, made of spaces only, longer than `NETCON_MAX_NAME_LEN` UTF-16 code units, or has
    one of ``\ / : * ? < > | "``, a tab or a zero character in it.
    """
    if not isinstance(pszwName, str):
        return False
    units = len(pszwName.encode("utf-16-le", "surrogatepass")) // 2
    return bool(pszwName.strip(" ")) and units <= NETCON_MAX_NAME_LEN and _FORBIDDEN.isdisjoint(pszwName)
