"""Whose name it is: a firm's, or that of somebody else who raises, launches and buys too."""

from __future__ import annotations

# Lower case. A name that consists of these alone is no firm's ("US", "Hong Kong", "Oil"); with others it may be
# ("China Evergrande", "Deutsche Bank").
STATES = frozenset(
    (
        "us u.s. u.s usa uk u.k. u.k eu e.u. e.u america britain england scotland wales ireland france germany italy "
        "spain "
        "portugal netherlands belgium switzerland austria sweden norway denmark finland poland czechia hungary "
        "greece turkey türkiye romania bulgaria serbia russia ukraine belarus israel iran iraq syria lebanon "
        "jordan egypt qatar uae kuwait yemen oman bahrain nigeria kenya ghana ethiopia africa sudan uganda "
        "tanzania zambia zimbabwe rwanda senegal morocco algeria tunisia libya india pakistan pak bangladesh "
        "nepal afghanistan lanka china beijing shanghai taiwan japan tokyo korea seoul singapore malaysia "
        "indonesia thailand vietnam philippines myanmar cambodia mongolia australia canberra canada ottawa mexico "
        "brazil argentina chile colombia peru bolivia ecuador venezuela cuba uruguay paraguay panama asia europe "
        "eurozone washington brussels moscow kyiv london paris berlin delhi tehran lagos hong kong south north "
        "new zealand york california texas florida sri saudi arabia alabama alaska arizona arkansas colorado "
        "connecticut delaware georgia hawaii idaho illinois iowa kansas kentucky louisiana maine maryland "
        "massachusetts michigan minnesota mississippi missouri montana nebraska nevada hampshire jersey carolina "
        "dakota ohio oklahoma oregon pennsylvania tennessee utah vermont virginia wisconsin wyoming queensland "
        "victoria nsw karnataka bihar punjab"
    ).split()
)
_NO_FIRMS = frozenset(
    (
        "nasa isro nato un unesco unicef opec opec+ imf pentagon hamas hezbollah taliban houthis fed ecb boj boe "
        "rba rbi trump biden putin modi starmer macron milei netanyahu xi zelensky zelenskyy albanese carney lula "
        "fifa uefa icc bcci ioc nba nfl mlb nhl cbse nta upsc fg efcc ndlea inec icpc nrs bjp tmc aap mps fans "
        "team world oil gold stocks shares dollar euro yen rupee yuan peso pound bitcoin futures nasdaq nikkei "
        "ftse index markets income profits revenue sales earnings exports imports layoffs jobs prices inflation "
        "employers retailers banks airlines hackers prosecutors officials lawmakers investors analysts experts "
        "republicans democrats labour tories conservatives aussies newly plan plans charges probe deal merger "
        "bill law rules who's it he she they we i"
    ).split()
)
_OFFICES = frozenset(
    (
        "government govt ministry minister ministers pm president chancellor mayor governor senator mp king queen "
        "prince princess pope church police cops army navy military forces troops council senate congress "
        "parliament cabinet court courts party commission authority agency department republic kingdom county "
        "district province prosecutor regulator states regulators watchdog lawmakers legislature assembly "
        "treasury"
    ).split()
)
_NO_FIRMS_WORDS = _OFFICES | frozenset(
    (
        "school schools university college club fc afc united fans coach hospital museum festival championship "
        "league cup olympics association federation union unions activists voters scientists researchers "
        "protesters politicians farmers to says said opposes urges wants may will is was not workers students "
        "communities community residents families victims charity charities foundation trust's celebrities "
        "personal household households consumer consumers national retail industrial mr mrs sir lord dr"
    ).split()
)


def is_company(name: str | None) -> bool:
    """Whether the name may be a firm's: no state, no office, no politician, no team."""
    if name is None:
        return False
    parts = _parts(name)
    if not parts or all(part in STATES or part in _NO_FIRMS for part in parts):
        return False
    return parts[0] not in _NO_FIRMS and not any(part in _NO_FIRMS_WORDS for part in parts)


def is_state(name: str | None) -> bool:
    """Whether the name is that of a state, its offices or its parliament."""
    parts = _parts(name or "")
    return any(part in _OFFICES for part in parts) or (bool(parts) and all(part in STATES for part in parts))


def _parts(name: str) -> list[str]:
    return name.lower().replace("’", "'").split()
