# ruff: noqa: E501
"""What is said when something happens: for every label the patterns that name it, and what must not stand beside them.

Patterns read `Headline.masked`: lower case, amounts of money as `¤`. A pattern begins with its verb, so that who acts
stands before its match, and may hold a group `object`, where the name of whom it concerns begins. Order matters: the
first that fits decides. docs/heuristics-labels.md says how well they do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_M = "¤+"
_SAID = r"(?:(?:has|have|had) )?(?:just |now |today |quietly |officially |formally |also )?"
_N = r"(?:(?:about|around|over|nearly|almost|up to|more than|at least|another|some|roughly) )?"
_COUNT = rf"{_N}(?:\d[\d,]*(?:\.\d+)?(?:k|%)?|hundreds of|thousands of|dozens of|\d+ (?:percent|per cent))"


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to say it. `named`: only where a name stands before the verb; `backed`: only where the summary or
    another word of the headline says so too; `company` names the group of the match whose name is the company's where
    it does not stand before the verb."""

    pattern: re.Pattern[str]
    named: bool = True
    backed: re.Pattern[str] | None = None
    company: str | None = None


def _rule(pattern: str, *, named: bool = True, backed: str | None = None, company: str | None = None) -> Rule:
    return Rule(re.compile(pattern), named, re.compile(backed) if backed else None, company)


# ---------------------------------------------------------------- funding

_GETS = (
    r"\b(?:raises?|raised|raising|secures?|secured|closes?|closed|lands?|landed|nabs?|nabbed|bags?|bagged|nets|netted|"
    r"scores?|snags?|snagged|gets|receives?|received|pulls in|picks up|picked up|banks|attracts|completes|completed|"
    r"announces|announced|grabs|rakes in|hauls in|to raise|seals|sealed|collects|scoops(?: up)?|wins)"
)
_ROUND = (
    r"(?:pre-?seed|seed(?:-stage)?|angel|series[ -][a-k][1-9]?\b|pre-series[ -][a-k]\b|bridge|growth|venture|equity|debt|"
    r"late-stage|early-stage|funding|financing|investment|fundraising|private)"
)
_INVESTORS = (
    r"series [a-k]\b|\bseed\b|\bfunding\b|\bventure|\binvestors?\b|financing|\bvaluation\b|\bround\b|\bequity\b|"
    r"\bcapital\b|\bstart-?up\b|\bfundraise|share (?:sale|placement)|convertible|offering"
)
FUNDING = (
    _rule(rf"{_GETS} {_N}{_M}(?: [\w-]+){{0,5}} ?\b{_ROUND}\b"),
    _rule(rf"{_GETS} (?:a |an |its |the |their )?(?:[\w-]+ ){{0,3}}?{_N}{_M} (?:[\w-]+ )?{_ROUND}\b"),
    _rule(
        rf"{_GETS} (?:a |an |its )?(?:new |fresh |oversubscribed |mega )?{_ROUND}(?: funding| financing| investment)? round\b"
    ),
    _rule(rf"{_GETS} (?:a |an |its )?(?:pre-seed|seed|series [a-k])\b"),
    _rule(
        rf"\b(?:raises|raised|secures|secured|bags|nabs|lands|to raise|closes) {_N}{_M}"
        rf"(?:$| to (?:build|expand|scale|develop|fund|accelerate|bring|make|help|grow|launch|power|automate|meet|turn|fuel|"
        rf"boost|create|take)\b| (?:from|led by|at|for|in (?:a |an )?(?:[\w-]+ ){{0,2}}(?:offering|sale|placement|deal))\b| as\b)",
        backed=_INVESTORS,
    ),
    _rule(
        rf"\b(?:raises?|to raise|raised) {_N}{_M} (?:in|through|via|from) (?:an? |the )?(?:[\w-]+ ){{0,3}}"
        r"(?:share (?:sale|placement|offering)|equity offerings?|stock (?:sale|offering)|rights issue|bond (?:sale|offering)|"
        r"debt offering|private placement|convertible (?:notes|bonds))"
    ),
    _rule(
        rf"{_M} (?:[\w-]+ )?(?:series [a-k]|seed|funding|financing|investment) round (?:for|in|at) (?P<object>)",
        named=False,
        company="object",
    ),
    _rule(
        rf"\b(?:leads|lead|co-leads|led) (?:a |the )?{_M} (?:[\w-]+ )?(?:round|investment|financing|series [a-k](?: round)?) (?:in|for|into) (?P<object>)",
        named=False,
        company="object",
    ),
    _rule(
        rf"\b(?:invests|invested|to invest) {_N}{_M} in (?P<object>)",
        backed=r"\bstart-?up\b|\bstake\b|\bround\b|valuation|\bfunding\b",
        company="object",
    ),
    _rule(
        r"\b(?:valued at|valuation (?:of|hits|reaches|tops|soars to|jumps to|to)) ¤+ (?:in|after|following) (?:[\w-]+ ){0,4}(?:round|funding|fundraise|raise|investment|tender)"
    ),
)
FUNDING_NOT = re.compile(
    r"\b(?:for charity|charit\w+|donat\w+|taxes|tax|tariffs?|fare|fares|ransom|bail|campaign|forecasts?|guidance|minimum wage|"
    r"wages?|pensions?|prices?|fees?|salary|stakes|bounty|reward|refugees?|humanitarian|relief|lottery|jackpot|ipo|grants? to|budget|"
    r"senate|congress|parliament|lawmakers|government|ministry|council|pentagon|contract|settlement|verdict|prize|election|"
    r"buyback|super pac|scholarship)\b"
)

# ---------------------------------------------------------------- acquisitions

_BUY = (
    r"(?:to acquire|acquires|acquired|acquiring|will acquire|agrees to (?:acquire|buy|purchase|take over)|agreed to (?:acquire|buy|take over)|"
    r"completes? (?:its |the )?(?:[\w¤-]+ ){0,2}?(?:acquisition|takeover|purchase) of|completed (?:its |the )?(?:[\w¤-]+ ){0,2}?(?:acquisition|takeover) of|"
    r"announces (?:the )?acquisition of|closes (?:the |its )?(?:[\w¤-]+ )?acquisition of|snaps up|scoops up|swallows|"
    r"takes over|to take over|offers to buy|makes (?:[\w¤-]+ )?(?:offer|bid) for)"
)
_TARGET = (
    r"(?:firm|company|startup|start-up|maker|stake|unit|business|rival|assets?|bank|brand|operator|chain|developer|division|"
    r"subsidiary|platform|group|insurer|retailer|provider|studio|app|miner|manufacturer|airline|broadcaster|publisher|"
    r"shares in|refinery|refiner|plants?|mines?|terminals?|stores|network|portfolio|arm|lender|giant|builder)"
)
ACQUISITION = (
    _rule(rf"\b(?:{_BUY}) (?P<object>)(?=[^¤]*¤)"),
    _rule(rf"\b(?:{_BUY}) (?P<object>)(?=.*\b{_TARGET}s?\b)"),
    _rule(
        r"\b(?:to acquire|acquires|completes (?:its )?(?:acquisition|takeover) of|agrees to (?:acquire|buy)) (?P<object>)"
    ),
    _rule(
        rf"\b(?:buys|to buy|bought|buying|to purchase|purchases) (?P<object>)(?=(?:[\w'’.&-]+ ){{1,9}}(?:for|in (?:an? )?)(?: |a |an )?{_N}¤)"
    ),
    _rule(
        rf"\b(?:buys|to buy|bought|to purchase|buys into|purchases) (?P<object>)(?=(?:[\w'’.&-]+ ){{0,6}}{_TARGET}\b)"
    ),
    _rule(
        r"\b(?:buys|to buy|bought|acquires|takes|to take|raises|ups|sells|to sell|acquired|increases|lifts) (?:its |a |an )?(?:[\w.%¤-]+ ){0,3}?stake in (?P<object>)"
    ),
    _rule(
        rf"\b(?:sells|to sell|sold|agrees to sell|offloads|divests) (?:its |their |the )?(?P<object>)(?=(?:[\w'’.&-]+ ){{1,8}}(?:to|for) (?:[\w'’.&-]+ ){{0,5}}(?:for|in) (?:a |an )?{_N}¤)"
    ),
    _rule(
        r"\b(?:sells|to sell|sold|agrees to sell|divests) (?:its |their |the )?(?P<object>)(?=(?:[\w'’.&-]+ ){0,4}(?:unit|business|division|arm|operations|subsidiary|stake)\b)"
    ),
    _rule(
        rf"\b(?:agrees|agreed|accepts|accepted|backs|recommends|wins) (?:to )?(?:a |an |the )?(?:[\w-]+ )?{_N}{_M} (?:[\w-]+ ){{0,2}}(?:takeover|buyout|acquisition|merger|offer|bid|buy-out)\b",
        company="by",
    ),
    _rule(
        r"\b(?:to be (?:acquired|bought|taken over)|agrees to be (?:acquired|bought)|is (?:acquired|bought)|acquired|bought|taken over) by (?P<by>)",
        company="by",
        backed=rf"¤|\b(?:deal|takeover|acquisition|merger|{_TARGET})\b",
    ),
    _rule(
        rf"\b(?:makes?|made|launches|launched|tables|submits|lodges) (?:a |an |its )?(?:[\w-]+ ){{0,2}}?{_N}{_M} (?:[\w-]+ ){{0,2}}(?:takeover |buyout |acquisition )?(?:offer|bid|approach) (?:for|to buy) (?P<object>)"
    ),
    _rule(
        r"\b(?:makes?|made|launches|launched) (?:a |an |its )?(?:[\w-]+ ){0,2}?(?:takeover|buyout|acquisition) (?:offer|bid) (?:for|of) (?P<object>)"
    ),
    _rule(
        rf"\b(?:strikes?|struck|seals?|sealed|signs?|signed|inks?|agrees|agreed|announces?|announced|completes?|reaches|clinches) (?:a |an |its |the )?(?:[\w-]+ ){{0,2}}?{_N}{_M} (?:[\w-]+ ){{0,2}}?(?:takeover|merger|acquisition|buyout|deal to (?:buy|acquire|merge))(?: (?:deal|of|with|for))? ?(?P<object>)"
    ),
    _rule(
        r"\b(?:and|with) [\w.& -]{2,30}? (?:to merge|agree(?:d)? (?:to|on a) merge(?:r)?|complete(?:d)? merger|announce(?:d)? merger|merge)\b"
    ),
    _rule(
        r"\b(?:to merge|merges|merged|agrees to merge|completes (?:its )?(?:[\w¤-]+ )?merger|in (?:a )?¤+ merger) with (?P<object>)"
    ),
    _rule(r"\b(?:makes|made|seals) (?:its |a )?(?:[\w-]+ ){0,4}acquisition\b(?=.*¤)"),
    _rule(
        rf"\b(?:in|for) (?:a |an )?{_M} (?:[\w-]+ )?(?:takeover|buyout|acquisition|merger) (?:of|with|by) (?P<object>)",
        named=False,
    ),
    _rule(
        rf"\b(?:spends?|spent|pays?|paid|to pay) {_N}{_M} (?:for|on|to (?:buy|acquire)) (?P<object>)(?=(?:[\w'’.&-]+ ){{0,6}}{_TARGET}\b)"
    ),
)
ACQUISITION_NOT = re.compile(
    r"\b(?:talks?|mulls?|mulling|considers?|considering|weighs?|weighing|eyes|eyeing|explor(?:es?|ing)|rumou?r\w*|could|might|"
    r"may (?:buy|acquire|sell|merge)|wants to|hopes|plans? to|in the running|interested|interest in|reject\w*|den(?:y|ies|ied)|"
    r"drops?|dropped|abandon\w*|scraps?|scrapped|walks? away|calls? off|called off|blocks?|blocked|collapses?|collapsed|fails?|failed|"
    r"sources?(?: say| said)?|bloomberg|wsj|reports?|reportedly|seeks?|seeking|bids? to|nears?|close to|set to|poised|likely|"
    r"studying|options?|ex-|homes?|house|houses|flats?|apartment|mansion|tickets?|cars?|arms|weapons?|jets?|warplanes?|"
    r"oil from|gas from|crude|players?|striker|midfielder|defender|goalkeeper|winger|coach|quarterback|nba|nfl|mlb|nhl|bbl|ipl|"
    r"league|transfer|club|cricket|football|team|gold|bonds?|vaccines?|drones?|missiles?|fighter|stocks? to buy|babies|"
    r"property|land|dogs?|cats?|painting|island|castle|farm|parties|party|congress|ministr\w+|states?|councils?|universit\w+|school\w*|"
    r"computing|years? ago|back in|once|history|capacity|power from|treasur(?:y|ies)|bitcoin|btc|citizenship|votes?|medals?)\b"
)

# ---------------------------------------------------------------- going public

_IPO = r"(?:ipo|i\.p\.o\.|initial public offering|stock(?: market)? (?:listing|debut|flotation)|public offering|market debut|flotation)"
IPO = (
    _rule(
        rf"\b(?:files?|filed|submits?|submitted|lodges|files confidentially) (?:[\w'-]+ ){{0,5}}?(?:for|to|with|paperwork|draft|prospectus|confidential|its)\b.{{0,40}}?\b(?:{_IPO}|go(?:ing)? public|s-1|listing|list)\b"
    ),
    _rule(
        rf"\b(?:raises?|raised|to raise|seeks?|targets?|targeting|seeking|aims? to raise|eyes|nets) {_N}{_M}(?: [\w.'-]+){{0,5}} {_IPO}\b"
    ),
    _rule(
        rf"\b(?:prices|priced|sets|launches|launched|kicks off|opens|begins|starts|completes|completed|upsizes|boosts|increases|postpones|delays|shelves|withdraws|pulls|picks|hires|gets? (?:[\w-]+ ){{0,2}}nod for|wins (?:[\w-]+ ){{0,3}}approval for|clears? (?:[\w-]+ ){{0,4}}(?:hurdle|hearing)s? (?:to|for)|gets (?:[\w-]+ ){{0,2}}approval for) (?:its |a |an |the |terms for |price range for |banks for )?(?:[\w.'¤-]+ ){{0,4}}?{_IPO}\b"
    ),
    _rule(r"\b(?:goes|went|to go) public\b(?: (?:on|in|via|through|at|with)\b|$)"),
    _rule(
        r"\b(?:makes?|made) (?:its |a )?(?:[\w-]+ ){0,4}(?:stock market|market|trading|nasdaq|nyse|wall street|bourse|exchange|hong kong|stock) debut\b"
    ),
    _rule(
        r"\b(?:debuts?|debuted|lists?|listed|begins trading|starts trading|to list|to debut|goes live|floats) (?:shares )?(?:on|in) (?:the )?(?:nasdaq|nyse|new york stock|london stock|hong kong|hkex|stock exchange|wall street|lse|bse|nse|shanghai|star market|euronext|tsx|asx|bourse)\b"
    ),
    _rule(
        r"\b(?:shares?|stock)? ?(?:soars?|soared|jumps?|jumped|surges?|surged|rises?|rose|falls?|fell|slides?|slid|drops?|sinks?|pops?|popped|climbs?|gains?|doubles?|tumbles?|plunges?|closes?|opens?|opened|trades?)(?: [\w%.¤-]+){0,4}? (?:in|on|at|after|during|from) (?:its |their |a |the )?(?:[\w¤-]+ ){0,3}?(?:debut|first day|ipo|listing|ipo price)\b"
    ),
    _rule(
        r"(?<=\w )\bipo (?:opens?|closes?|subscribed|oversubscribed|priced|allotment|listing|raises|fully subscribed|gets|sees|running at|running|books? covered|demand)\b"
    ),
    _rule(
        r"(?<=\w's )(?:[\w¤-]+ ){0,4}?ipo (?:opens?|closes?|oversubscribed|prices|priced|raises|draws|attracts|gets|wins)\b"
    ),
    _rule(r"\blist(?:s|ed|ing)? (?:shares )?(?:at|with) (?:a |an )?(?:[\w%.]+ )?(?:premium|discount)\b"),
)
IPO_NOT = re.compile(
    r"\b(?:could|might|may (?:file|list|go)|rumou?r\w*|considers?|considering|mulls?|weighs?|sources?(?: say| said)?|bloomberg|wsj|"
    r"reportedly|talks|world cup|runway|film|movie|cannes|album|premier league|test|test match|stage|festival|season|tennis|"
    r"nba|nfl|years? ago|denies|denied|no plans|hopes|dreams|why|how|what|boom|wave|frenzy|fund's|world)\b"
)

# ---------------------------------------------------------------- earnings

_PERIOD = r"(?:(?:first|second|third|fourth|1st|2nd|3rd|4th)[- ]quarter|q[1-4]|quarterly|annual|full[- ]year|half[- ]year|first[- ]half|second[- ]half|h1|h2|yearly|fy\d\d|interim|nine-month|six-month|fiscal(?:[- ]\w+)?)"
_RESULT = r"(?:profits?|loss(?:es)?|revenues?|earnings|sales|income|results|ebitda|eps|turnover|net profit|margins?)"
_FORECAST = r"(?:forecasts?|guidance|outlook|estimates?|expectations|targets?|views?)"
_MOVES = (
    r"(?:rises?|rose|falls?|fell|jumps?|jumped|drops?|dropped|slides?|slid|surges?|surged|soars?|soared|plunges?|plunged|sinks?|"
    r"sank|tumbles?|tumbled|climbs?|climbed|grows?|grew|gains?|slips?|slipped|dips?|dipped|declines?|declined|doubles?|doubled|triples?|"
    r"tripled|halves|halved|shrinks?|shrank|narrows?|narrowed|widens?|widened|beats?|misses|missed|tops?|topped|hits?|exceeds?|"
    r"exceeded|up|down|leaps?|leapt|rebounds?|more than doubles?|nearly doubles?|nearly halves|trails?|lags?|swells?|edges up|inches up|crosses|"
    r"falls? short|disappoints?|skyrockets?|rockets?|plummets?|plummeted|slumps?|slumped)"
)
EARNINGS = (
    _rule(
        rf"\b(?:reports?|reported|posts?|posted|logs?|logged|books?|booked|records?|recorded|delivers?|delivered|swings? to|swung to|returns to|notches|announces|announced|declares|clocks|clocked|turns|earns|earned|makes|reveals) (?:[\w%.¤'-]+ ){{0,6}}?(?:{_PERIOD} )?(?:[\w-]+ )?{_RESULT}\b"
    ),
    _rule(
        rf"\b(?:beats?|tops?|misses|missed|exceeds?|surpass(?:es)?|crush(?:es)?|smashes|trails|falls short of) (?:[\w'-]+ ){{0,4}}?(?:{_PERIOD} )?(?:{_RESULT} )?(?:{_FORECAST}|{_RESULT})\b"
    ),
    _rule(rf"(?<=\w )(?:'s )?(?:[\w-]+ )?(?:{_PERIOD}) (?:[\w-]+ ){{0,3}}?{_RESULT} (?:[\w-]+ )?{_MOVES}\b"),
    _rule(
        rf"(?:(?<=s' )|(?<='s )|(?<=\w ))(?:{_PERIOD} )?(?:(?:net|operating|pre-?tax|core|adjusted|underlying|gross|record|standalone|consolidated|group|trading|cloud|ad) )?(?:profits?|net income|earnings|revenues?|operating income|net loss|losses|loss|income) {_MOVES}\b"
    ),
    _rule(
        rf"\b(?:raises?|raised|cuts?|lowers?|lowered|lifts?|lifted|trims?|trimmed|slashes|slashed|hikes?|hiked|boosts?|boosted|reaffirms?|reiterates?|maintains?|keeps?|withdraws?|suspends?|ups|upgrades|downgrades|backs|confirms|narrows|pulls|scraps) (?:its |their |the )?(?:[\w-]+ ){{0,4}}?{_FORECAST}\b",
        backed=rf"\b(?:{_RESULT}|{_PERIOD}|guidance|shares|stock)\b",
    ),
    _rule(
        rf"\b(?:forecasts?|sees|expects|guides|projects|predicts|estimates) (?:[\w¤%-]+ ){{0,3}}?(?:{_PERIOD}) (?:[\w-]+ )?(?:{_RESULT})\b"
    ),
    _rule(
        r"\b(?:issues?|issued|sounds) (?:a |its |an )?(?:[\w-]+ ){0,2}?(?:profit|revenue|sales|earnings) (?:warning|alert)\b"
    ),
    _rule(rf"\b(?:warns (?:on|of|about) (?:[\w-]+ ){{0,2}}(?:profits?|earnings|{_PERIOD})|profit warning)\b"),
    _rule(rf"(?<=\w )(?:{_PERIOD}) (?:results|earnings)(?:$|:| (?:show|beat|miss|top|today|live|2\d))"),
    _rule(r"(?<=\w )earnings (?:beat|miss|top|fall short|disappoint|impress)\b"),
)
EARNINGS_NOT = re.compile(
    r"\b(?:net worth|gst|tax|taxes|tournament|open|sabalenka|grand slam|box office|exports?|retail sales|home sales|auto sales|car sales|"
    r"industrial profits|industry|airlines|banks|farmers?|households?|gdp|economy|government|council|police|"
    r"imf|world bank|oecd|analysts? (?:say|expect)|imports?|trade|goldman sachs expects|morgan stanley expects|expects spacex|"
    r"deaths|crime|could|might|quarter-?finals?|semi-?finals?|growth forecast|gdp forecast|inflation forecast|oil price|migrants?)\b"
)

# ---------------------------------------------------------------- jobs that go

_STAFF = r"(?:jobs?|staff|workers?|positions?|roles?|employees?|employes|workforce|headcount|people|posts|engineers|staffers|journalists|managers)"
LAYOFFS = (
    _rule(rf"\b(?:lay|lays|laid|laying|layoff|layoffs) off (?P<jobs>{_COUNT})"),
    _rule(rf"\b(?:lays|laid|to lay|laying|will lay) off (?:[\w%'-]+ ){{0,5}}?{_STAFF}\b"),
    _rule(r"\bto layoff (?P<jobs>\d[\d,]*)"),
    _rule(
        rf"\b(?:cuts?|cutting|to cut|slash(?:es|ing)?|to slash|axes?|to axe|axing|sheds?|to shed|eliminates?|to eliminate|"
        rf"eliminating|culls?|trims?|to trim|offshores?|to offshore|sacks?|to sack|fires?|to fire|scraps?|to scrap|makes|reduces?|drops|plans to (?:cut|axe|slash|eliminate|shed)|announces|will cut|confirms) "
        rf"(?:as many as |an additional |a further |another )?(?P<jobs>{_COUNT})(?: of)?(?: its| their| the)? (?:[\w'-]+ ){{0,4}}?{_STAFF}\b(?! redundan)"
    ),
    _rule(rf"\b(?:makes|making|to make) (?P<jobs>{_COUNT}) (?:[\w-]+ ){{0,3}}?redundant\b"),
    _rule(
        r"\b(?:announces|announced|begins|began|starts|started|confirms|confirmed|launches|conducts|carries out|plans|hit by|kicks off) (?:[\w-]+ ){0,4}?(?:layoffs|lay-offs|job cuts|redundancies|staff cuts|mass firings)\b"
    ),
    _rule(
        rf"\b(?P<jobs>{_COUNT}) (?:[\w-]+ ){{0,2}}?(?:jobs|roles|positions|workers|employees|staff) (?:to go|cut|axed|lost|laid off|to be (?:cut|axed|lost)|to lose jobs|face(?:s|ing)? (?:layoffs?|redundancy)|at risk|set to go|will go) ?(?:at|as|from|in|after|by)? ?(?P<at>)",
        named=False,
        company="at",
    ),
    _rule(
        r"\b(?:layoffs|job cuts|redundancies) (?:announced|begin|hit|start|confirmed|underway|loom) (?:at )?(?P<at>)",
        named=False,
        company="at",
    ),
    _rule(r"\bjob cuts:"),
    _rule(
        r"\b(?:to shut|shuts|closes|to close|collapses|shutting)(?:.{0,30})\b(?:workers|staff|jobs|employees) (?:face|facing|lost|lose|to go|at risk|axed|cut)",
    ),
)
LAYOFFS_NOT = re.compile(
    r"\b(?:without (?:cutting|layoffs)|no (?:layoffs?|plans|job cuts)|avoid\w*|den(?:y|ies|ied)|after (?:cutting|laying|\d[\d,]* (?:layoffs|job cuts)|layoffs|mass layoffs|job cuts)|fewer jobs|"
    r"could|might|may (?:cut|lay)|would|fears?|warns?|warning|calls? for|protest\w*|strike|strikes|against|survey|study|report says|sources?(?: say| said)?|"
    r"reportedly|considers?|mulls?|weighs?|message (?:to|for)|ai (?:will|to|could)|years? ago|wrongful\w*|sues?|lawsuit|missiles?|shots?|rockets?|"
    r"accused|illegally|creates?|to create|jobless|payrolls|economy|labor market|labour market|costs|tax|rates|visa|fired (?:on|at)|"
    r"trump|government|cabinet|minister|coach|coaches|police|soldiers|troops|hostages|prisoners|killed|shooting)\b"
)

# ---------------------------------------------------------------- launches

_PRODUCT = (
    r"(?:apps?|models?|chips?|chipsets?|(?:smart)?phones?|iphones?|ipads?|cars?|evs?|suvs?|vehicles?|trucks?|platforms?|services?|tools?|features?|assistants?|products?|"
    r"cards?|subscriptions?|laptops?|tablets?|headsets?|headphones|earbuds|(?:smart)?watch(?:es)?|gpus?|processors?|api|apis|browsers?|operating systems?|software|"
    r"robots?|robotaxis?|chatbots?|bot|version|beta|wallets?|stores?|marketplace|collections?|line-?up|stablecoin|etfs?|glasses|consoles?|games?|cameras?|"
    r"speakers?|tvs?|motorcycles?|bikes?|scooters?|drones?|ai|agents?|suite|engine|search|cloud|servers?|system|systems|sdk|"
    r"accounts?|loans?|insurance|credit|payments?|delivery|streaming|channel|supercomputer|computer|pcs?|drugs?|pill|vaccine|toolkit|portal|"
    r"network|routes?|flights?|menu|drinks?|burger|range|brand|sneakers?|perfume|flagship|update|mode|edition|solution|technology|machine|devices?|wearables?|satellites?|bundle|plan|tier|os|gen|pro|mini|ultra|max|plus|gpt|siri|copilot|gemini|claude|"
    r"memory|battery|batteries|sensor|display|foldable|hypercar|sedan|pickup|crossover|hatchback|jet|aircraft|airline|label)"
)
LAUNCH = (
    _rule(
        rf"\b(?:launch(?:es|ed)?|to launch|unveil(?:s|ed)?|to unveil|introduc(?:es|ed)|debuts|debuted|roll(?:s|ed) out|to roll out|rolling out|releases|released|to release|ships|"
        rf"showcases|brings out|takes the wraps off|starts selling|begins selling|starts shipping|relaunches|brings back) (?P<object>)(?=(?:[\w'’.&+/¤-]+ ){{0,7}}?{_PRODUCT}\b)"
    ),
)
LAUNCH_NOT = re.compile(
    r"\b(?:missiles?|strikes?|attacks?|war|probe|investigat\w+|inquiry|campaign|crackdown|operation|manhunt|raids?|offensive|bid|appeal|lawsuit|"
    r"initiative|scheme|polic(?:y|ies)|buyback|memorial|rockets?|ceasefire|sanctions?|election|party|parliament|summit|auction|airstrikes?|"
    r"torpedo\w*|troops|nuclear|plant|factory|recovery|portrait|statue|tax|budget|fund|trust fund|programme|program|strategy|hostages?|prisoners?|"
    r"prison|jail|jailed|custody|video|footage|report|reports|documents|files|statement|photos?|images?|album|song|single|film|movie|trailer|teaser|poster|"
    r"book|memoir|could|might|may (?:launch|unveil|release)|rumou?r\w*|leaks?|expected to|how to watch|when|delay\w*|postpon\w*|"
    r"cancel\w*|recall\w*|before they launch|reportedly|sources?(?: say| said)?|plans? to|considers?|visa|visas|ban|bans|drill|"
    r"protest\w*|petition|search for|rescue|rival to watch|health|school|students?|hospital|census|hotline|helpline|scholarship|competition|contest|awards?|"
    r"joint venture|takeover|offer|ipo|trial|pilot|charges|legal|spacecraft|mission|astronauts?|moon|mars|space station)\b"
)

# ---------------------------------------------------------------- rules and rulers

AGENCIES = (
    r"(?:ftc|sec|doj|justice department|department of justice|cma|competition and markets authority|european commission|eu commission|"
    r"eu|european union|brussels|fcc|fda|cfpb|nhtsa|epa|sebi|rbi|cci|competition commission|samr|fca|ofcom|ico|"
    r"accc|asic|apra|kftc|jftc|bafin|cnil|occ|finma|mas|cftc|finra|ofgem|ofwat|cade|cnmv|agcm|"
    r"(?:[\w.-]+ )?(?:antitrust|competition|data protection|privacy|financial|market|markets|banking|telecoms?|media|energy|consumer|aviation|internet|online safety|securities|drug|gambling|advertising|privacy) (?:regulators?|watchdogs?|authority|agency|commission|commissioner|body)|"
    r"(?:(?:eu|uk|us|u\.s\.|u\.k\.|german|french|italian|dutch|spanish|british|chinese|china|indian|japanese|korean|australian|irish|european|beijing|state|federal|swiss|canadian|brazilian|turkish|russian|japan|india|italy|france|germany|thai|nigeria|nigerian) )(?:regulators?|watchdogs?))"
)
_ACTS = (
    r"(?:fines?|fined|sues?|sued|bans?|banned|blocks?|blocked|approves?|approved|clears?|cleared|probes?|investigates?|to investigate|"
    r"opens? (?:an? )?(?:[\w-]+ ){0,3}?(?:probe|investigation|inquiry|case)(?: (?:into|against|over))?|launches? (?:an? )?(?:[\w-]+ ){0,3}?(?:probe|investigation|inquiry)(?: into)?|"
    r"orders?|ordered|charges?|charged|accuses?|accused|hits|slaps|penali[sz]es|rejects?|rejected|to look (?:at|into)|tells|summons|"
    r"halts|halted|revokes|suspends|raids|settles with|finali[sz]es|proposes?|adopts?|unveils|drops? (?:case|probe|lawsuit|suit)|conditionally approves|gives? (?:[\w-]+ ){0,2}(?:approval|nod|green light) (?:to|for)|warns|demands)"
)
_BUSINESS = (
    r"(?:ai|artificial intelligence|crypto\w*|stablecoins?|tech|big tech|social media|data|privacy|platforms?|banks?|banking|app|apps|app stores?|chips?|semiconductors?|digital|online|"
    r"antitrust|competition|merger|takeover|acquisition|deal|companies|company|firms?|market|markets|startups?|drug|drugs|pill|carmakers?|evs?|"
    r"vapes?|plastic|packaging|fintech|payments?|bnpl|advertis\w+|ads|junk food|data cent(?:re|er)s?|investors?|trading|ipo|listed|insurers?|"
    r"subscription|consumers?|minimum wage|gig|tiktok|instagram|chatgpt|google|meta|apple|amazon|microsoft|x|openai|anthropic|nvidia|tesla|uber|airbnb|temu|shein|boeing|merg\w+|bid)"
)
REGULATION = (
    _rule(
        rf"(?:^|(?<=[ '\"(]))(?P<who>{AGENCIES})(?:'s [\w]+)? {_ACTS} (?P<object>)(?=.*\b{_BUSINESS}\b|.*¤)",
        named=False,
        company="object",
    ),
    _rule(
        rf"\b(?:is |was |been |being |gets |to be )?(?:fined|sued|charged|probed|investigated|blocked|approved|cleared|banned) (?:{_N}{_M} )?(?:[\w-]+ ){{0,4}}?(?:by|in) (?:the )?(?P<who>{AGENCIES})\b"
    ),
    _rule(
        rf"\b(?:fined|hit with|faces|handed|slapped with|gets|ordered to pay|to pay|agrees to pay|pays) (?:a |an )?(?:[\w-]+ )?{_N}{_M} (?:[\w-]+ ){{0,3}}?(?:fine|penalty|antitrust)\b"
    ),
    _rule(rf"\bfined (?:a )?(?:record )?{_N}{_M}"),
    _rule(
        r"\b(?:faces|hit with|hit by|under|wins|loses|settles|fights|dodges|avoids|face) (?:an? |the |new |its )?(?:[\w.-]+ ){0,3}?(?:antitrust|competition|privacy|data protection|monopoly|anti-monopoly) (?:[\w-]+ ){0,2}?(?:probe|lawsuit|suit|case|trial|investigation|charges?|fine|scrutiny|complaint)\b"
    ),
    _rule(
        r"\b(?:wins?|won|gets?|got|receives?|received|secures?|secured|clears?|gains?) (?:[\w.-]+ ){0,3}?(?:regulatory|antitrust|fda|eu|ftc|cma|sec|competition) (?:approval|clearance|nod|green light|hurdle)"
    ),
    _rule(
        rf"\b(?:pass(?:es|ed)|adopts?|adopted|approves?|approved|enacts?|enacted|signs?|signed|backs|agrees? (?:on)?|introduc(?:es|ed)|proposes?|unveils?|to introduce|enforces?|tightens?|eases?|finali[sz]es|clears|rolls back|drafts|issues|sets) "
        rf"(?:[\w'-]+ ){{0,6}}?\b{_BUSINESS}\b(?: [\w'-]+){{0,4}}? ?\b(?:law|laws|act|bill|rules?|regulations?|legislation|ban|curbs|restrictions|code|framework|guidelines)\b",
        named=False,
    ),
    _rule(
        rf"\b(?:pass(?:es|ed)|adopts?|approves?|enacts?|signs?|introduc(?:es|ed)|proposes?|unveils?|issues|tightens?|eases?|enforces?|drafts) "
        rf"(?:[\w'-]+ ){{0,4}}?(?:law|laws|act|bill|rules?|regulations?|legislation|ban|curbs|restrictions|guidelines)\b (?:on|for|to|against|over|governing|requiring|forcing|that|regulating|aimed at) (?:[\w'-]+ ){{0,5}}?{_BUSINESS}\b",
        named=False,
    ),
    _rule(
        r"\b(?:bans?|banned|to ban|outlaws|prohibits|restricts|regulates|to regulate) (?:[\w'-]+ ){0,3}?(?:social media|tiktok|ai|crypto\w*|chatbots?|data cent(?:re|er)s|junk food|vapes?|advertis\w+|ads|deepseek|apps?|chips?|single-use)\b",
        named=False,
    ),
)
REGULATION_NOT = re.compile(
    r"\b(?:could|might|may (?:ban|fine|sue|block)|urges?|calls? for|demands? (?:probe|ban)|considers?|mulls?|weighs?|should|visa|sanctions|travel ban|"
    r"drugs? (?:trafficking|cartel|smuggling)|murder|police|bribery|torture|football|fifa|premier league|player|coach|world cup|olympic|"
    r"sources?(?: say| said)?|reportedly|war crimes?|genocide|ukraine|russia|migrants?|asylum|deport\w*|terror\w*|settlers|visits?|israel|iran|gaza|"
    r"abortion|gun|election|ceasefire|summit|troops|fish\w*)\b"
)

# ---------------------------------------------------------------- rates

BANKS = {
    "fed": "Federal Reserve", "federal reserve": "Federal Reserve", "us fed": "Federal Reserve", "fomc": "Federal Reserve",
    "ecb": "European Central Bank", "european central bank": "European Central Bank", "bank of england": "Bank of England",
    "boe": "Bank of England", "bank of japan": "Bank of Japan", "boj": "Bank of Japan", "rbi": "Reserve Bank of India",
    "reserve bank of india": "Reserve Bank of India", "rba": "Reserve Bank of Australia",
    "reserve bank of australia": "Reserve Bank of Australia", "rbnz": "Reserve Bank of New Zealand",
    "bank of canada": "Bank of Canada", "boc": "Bank of Canada", "snb": "Swiss National Bank",
    "swiss national bank": "Swiss National Bank", "riksbank": "Sveriges Riksbank", "norges bank": "Norges Bank",
    "pboc": "People's Bank of China", "people's bank of china": "People's Bank of China", "bank of korea": "Bank of Korea",
    "bok": "Bank of Korea", "cbn": "Central Bank of Nigeria", "sarb": "South African Reserve Bank", "copom": "Central Bank of Brazil",
    "banxico": "Bank of Mexico", "bank of mexico": "Bank of Mexico", "bank indonesia": "Bank Indonesia", "bsp": "Bangko Sentral ng Pilipinas",
    "central bank of brazil": "Central Bank of Brazil", "bank of russia": "Bank of Russia", "bank of thailand": "Bank of Thailand",
    "bank of israel": "Bank of Israel", "central bank": "", "central bank's": "", "monetary policy committee": "", "mpc": "",
}  # fmt: skip
_BANK = "|".join(sorted((re.escape(name).replace(r"\ ", " ") for name in BANKS), key=lambda name: -len(name)))
_RATE = (
    r"(?:(?:[\w.'-]+ ){0,4}?(?:interest|key|policy|benchmark|repo|cash|bank|base|lending|deposit|selic|main|borrowing|prime|loan prime|overnight|official cash|monetary policy)"
    r" (?:[\w-]+ ){0,2}?(?:rates?|costs)|(?:its |the |their )?rates?\b)"
)
_SETS = (
    r"(?:raises?|raised|hikes?|hiked|lifts?|lifted|increases?|increased|cuts?|lowers?|lowered|trims?|trimmed|slashes|slashed|reduces|reduced|holds?|held|keeps?|kept|leaves?|left|"
    r"maintains?|maintained|retains?|retained|pauses|delivers)"
)
RATES = (
    _rule(
        rf"\b(?P<who>{_BANK})(?:'s (?:mpc|committee))?(?:, in [\w ]{{3,20}},)? (?:again |unexpectedly |surprisingly |finally |sharply |unanimously )?{_SETS} {_RATE}",
        named=False,
    ),
    _rule(
        rf"\b(?P<who>{_BANK}) (?:[\w-]+ )?(?:{_SETS}) (?:[\w.'%-]+ ){{0,4}}?(?:by )?(?:(?:[\d.]+|a|half a|quarter[ -]|a quarter)[ -]?(?:bps|basis points?|percentage point|(?:of a )?point)|on hold|steady|unchanged)\b",
        named=False,
    ),
    _rule(
        rf"\b(?P<who>{_BANK}) (?:delivers|announces|makes|opts for|stands pat|votes to) (?:[\w.-]+ ){{0,5}}?(?:rate (?:cut|hike|rise|increase)|(?:cut|hike|hold|raise|keep) (?:interest )?rates|pat)",
        named=False,
    ),
    _rule(
        rf"\binterest rates? (?:are |is )?(?:cut|raised|held|hiked|lifted|lowered|kept|left|unchanged|rise|rises|fall|falls) (?:[\w.%-]+ ){{0,6}}?(?:by|as) (?:the )?(?P<who>{_BANK})\b",
        named=False,
    ),
    _rule(
        r"(?<=\w )(?:raises?|hikes?|lifts?|cuts?|lowers?|slashes|holds?|keeps?|leaves?|trims) (?:its |the )?(?:[\w-]+ ){0,2}?(?:interest|key|policy|benchmark|repo|cash|lending) (?:[\w-]+ )?rates?\b"
    ),
    _rule(r"(?<=\w )(?:raises?|hikes?|cuts?|holds?) rates (?:in surprise|by|to|for|as|steady|after|again)\b"),
)
RATES_NOT = re.compile(
    r"\b(?:expected|expects?|may (?:raise|cut|hold|hike)|might|could|likely|should|would|will|poised|set to|to (?:raise|cut|hold|hike|keep)|signals?|sees|forecasts?|poll|"
    r"bets?|hopes?|fears?|urges?|calls?|demands?|pressure|wants|mortgage|tax|cricket|stokes|nightclub|after (?:the )?(?:fed|ecb|boj|boe|rba|rbi)|"
    r"before|ahead of|mulls|considers?|debate|weighs?|if|shares|stocks?|traders|minutes|economists?|hotels?|cbse|cylinder|lpg|bank (?:cuts|raises) (?:fd|fixed)|fd rates?|years? ago)\b"
)

PATTERNS: dict[str, tuple[tuple[Rule, ...], re.Pattern[str]]] = {
    "funding": (FUNDING, FUNDING_NOT),
    "acquisition": (ACQUISITION, ACQUISITION_NOT),
    "ipo": (IPO, IPO_NOT),
    "earnings": (EARNINGS, EARNINGS_NOT),
    "layoffs": (LAYOFFS, LAYOFFS_NOT),
    "launch": (LAUNCH, LAUNCH_NOT),
    "regulation": (REGULATION, REGULATION_NOT),
    "rates": (RATES, RATES_NOT),
}

# A line without one of these says nothing of the kind; looking for them is what most headlines cost.
TRIGGERS: dict[str, re.Pattern[str]] = {
    "funding": re.compile("¤|round|seed|series"),
    "acquisition": re.compile("acqui|buy|bought|merge|stake|takeover|buyout|purchase|sell|sold|offer|bid|take|snaps|scoops|divest|offload|pay|paid|spen"),
    "ipo": re.compile("ipo|i.p.o|public|debut|list|float|trading|first day"),
    "earnings": re.compile("profit|loss|revenue|earnings|sales|income|results|forecast|guidance|outlook|estimates|expectations|ebitda|turnover|eps|margin"),
    "layoffs": re.compile("lay|job|redundan|staff|workforce|workers|employe|roles|positions|headcount|people|posts|engineers|firings"),
    "launch": re.compile("launch|unveil|introduc|debut|roll|releas|ships|showcas|wraps|selling|brings"),
    "regulation": re.compile("fine|sue|ban|block|approv|clear|prob|investigat|order|charg|accus|rule|law|bill|act|regulat|watchdog|antitrust|competition|outlaw|prohibit|restrict|reject|look|halt|warn|penal|settle|raid"),
    "rates": re.compile("rate|basis point|bps|on hold|steady|unchanged|borrowing|stands pat"),
}  # fmt: skip
