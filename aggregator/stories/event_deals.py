"""How headlines say that money is raised, a company bought or floated. See `event_shape` for how to read this."""

from __future__ import annotations

from aggregator.stories.event_shape import ABOUT, AN, GUESSES, MONEY, SOME, VERB, Label, any_of, rule, stop_at, trigger

# ---------------------------------------------------------------- funding

_GETS = VERB + any_of(
    """
    raises? raised raising to_raise secures? secured closes? closed lands? landed nabs? nabbed bags? bagged nets
    netted scores? snags? snagged gets receives? received pulls_in picks?_up picked_up banks attracts completes
    completed announces announced grabs rakes_in hauls_in seals sealed collects scoops(?:_up)? wins"""
)
_RAISES = VERB + any_of("raises raised secures secured bags nabs lands to_raise closes")
_ROUND = any_of(
    """
    pre-?seed seed(?:-stage)? angel series[_-][a-k][1-9]? pre-series[_-][a-k] bridge growth venture equity debt
    late-stage early-stage funding financing investment fundraising private"""
)
_NAMED_ROUND = any_of("pre-seed seed series_[a-k][1-9]?")
_INVESTORS = r"\b" + any_of(
    r"""
    series_[a-k]\b seed\b funding\b venture investors?\b financing valuation\b round\b equity\b capital\b
    start-?up\b fundraise share_(?:sale|placement) convertible offering"""
)
_SHARES = any_of(
    r"""
    share_(?:sale|placement|offering) equity_offerings? stock_(?:sale|offering) rights_issue
    bond_(?:sale|offering) debt_offering private_placement convertible_(?:notes|bonds)"""
)

FUNDING = Label(
    trigger("¤ round seed series"),
    stop_at(
        r"""
        for_charity charit\w+ donat\w+ taxes tax tariffs? fares? ransom bail campaign forecasts? guidance
        minimum_wage wages? pensions? prices? fees? salary stakes bounty reward refugees? humanitarian relief
        lottery jackpot ipo grants?_to budget senate congress parliament lawmakers government ministry council
        pentagon contract settlement verdict prize election buyback super_pac scholarship victims"""
    ),
    (
        rule(rf"{_GETS} {ABOUT}{MONEY}(?: [\w-]+){{0,5}} ?\b{_ROUND}\b"),
        rule(rf"{_GETS} {AN}(?:[\w-]+ ){{0,3}}?{ABOUT}{MONEY} (?:[\w-]+ )?{_ROUND}\b"),
        rule(
            rf"{_GETS} {AN}(?:(?:new|fresh|oversubscribed|mega) )?{_ROUND}"
            r"(?: (?:funding|financing|investment))? round\b"
        ),
        rule(rf"{_GETS} {AN}{_NAMED_ROUND}\b"),
        rule(
            rf"{_RAISES} {ABOUT}{MONEY}(?:$| to [\w-]+| as\b| (?:from|led by|at|for|in (?:an? )?{SOME}{{0,2}}"
            r"(?:offering|sale|placement|deal))\b)",
            backed=_INVESTORS,
        ),
        rule(rf"{_RAISES} {ABOUT}{MONEY} (?:in|through|via|from) {AN}(?:[\w-]+ ){{0,3}}{_SHARES}"),
        rule(
            rf"{VERB}(?:sells|to sell|sold) {ABOUT}{MONEY} (?:in|of|worth of) (?:new |its )?"
            r"(?:stock|shares|equity|convertible (?:notes|bonds|debt))\b"
        ),
        rule(
            rf"{MONEY} (?:[\w-]+ )?(?:series [a-k]|seed|funding|financing|investment) round (?:for|in|at) (?P<firm>)",
            named=False,
            company="firm",
        ),
        rule(
            rf"{VERB}(?:leads?|co-leads|led) {AN}{MONEY} (?:[\w-]+ )?"
            r"(?:round|investment|financing|series [a-k](?: round)?) (?:in|for|into) (?P<firm>)",
            named=False,
            company="firm",
        ),
        rule(
            rf"{VERB}(?:invests|invested|to invest) {ABOUT}{MONEY} in (?P<firm>)",
            company="firm",
            backed=r"\bstart-?up\b|\bstake\b|\bround\b|valuation|\bfunding\b",
        ),
        rule(
            rf"{VERB}(?:valued at|valuation (?:of|hits|reaches|tops|soars to|jumps to|to)) {ABOUT}{MONEY}"
            rf" (?:in|after|following) (?:[\w¤-]+ ){{0,4}}(?:round|funding|fundraise|raise|investment|tender)\b"
        ),
    ),
)

# ---------------------------------------------------------------- acquisitions

_DEAL = any_of("takeover buyout buy-out acquisition merger")
_ACQUIRES = VERB + any_of(
    rf"""
    to_acquire acquires acquired(?!_by\b) acquiring will_acquire agree(?:s|d)_to_(?:acquire|buy|purchase|take_over)
    complete(?:s|d)?_{AN.replace(" ", "_")}(?:[\w¤-]+_){{0,2}}?(?:acquisition|takeover|purchase)_of
    announces_(?:the_)?acquisition_of closes_(?:the_|its_)?(?:[\w¤-]+_)?acquisition_of snaps_up scoops_up
    swallows takes_over to_take_over offers_to_buy makes_(?:[\w¤-]+_)?(?:offer|bid)_for"""
)
_BUYS = VERB + any_of(r"buys to_buy bought(?!_by\b) buying to_purchase purchases buys_into buys_up")
_SELLS = VERB + any_of("sells to_sell sold agree(?:s|d)_to_sell divests offloads")
_AGREES = VERB + any_of(
    "strikes? struck seals? sealed signs? signed inks? agree[sd] announce[sd] completes? reaches clinches"
)
_FIRM = any_of(
    """
    firm company startup start-up maker stake unit business rival assets? bank brand operator chain developer
    division subsidiary platform group insurer retailer provider studio app miner manufacturer airline
    broadcaster publisher shares_in refinery refiner plants? mines? terminals? stores network portfolio arm
    lender giant builder"""
)
_PART = any_of("unit business division arm operations subsidiary stake")
_WORD = r"[\w'’.&-]+ "

ACQUISITION = Label(
    trigger(
        """acqui buy bought merge stake takeover buyout purchase sell sold offer bid take snaps scoops divest offload
        pay paid
        spen sale"""
    ),
    stop_at(
        rf"""
        {GUESSES} talks? eyes eyeing explor(?:es?|ing) may_(?:buy|acquire|sell|merge) wants_to hopes plans?_to
        in_the_running interested interest_in reject\w* den(?:y|ies|ied) drops? dropped abandon\w* scraps?
        scrapped walks?_away calls?_off called_off blocks? blocked collapses? collapsed fails? failed bloomberg
        wsj reports? seeks? seeking bids?_to nears? close_to set_to poised likely studying options? ex- homes?
        houses? flats? apartment mansion tickets? cars? arms weapons? jets? warplanes? oil_from gas_from crude
        players? striker midfielder defender goalkeeper winger coach quarterback nba nfl mlb nhl bbl ipl league
        transfer club cricket football team gold bonds? vaccines? drones? missiles? fighter stocks?_to_buy
        babies property land dogs? cats? painting island castle farm parties party congress ministr\w+ states?
        councils? universit\w+ school\w* computing years?_ago back_in once history capacity power_from
        treasur(?:y|ies) bitcoin btc citizenship votes? medals? collection"""
    ),
    (
        rule(rf"{_ACQUIRES} (?P<target>)(?=[^¤]*¤|.*\b{_FIRM}s?\b)"),
        rule(
            rf"{VERB}(?:to acquire|acquires|completes (?:its )?(?:acquisition|takeover) of|agrees to (?:acquire|buy))"
            r" (?P<target>)"
        ),
        rule(rf"{_BUYS} (?P<target>)(?=(?:{_WORD}){{1,9}}(?:for|in (?:an? )?)(?: |an? )?{ABOUT}{MONEY})"),
        rule(rf"{_BUYS} (?P<target>)(?=(?:{_WORD}){{0,6}}{_FIRM}\b)"),
        rule(
            rf"{VERB}{any_of('buys to_buy bought acquires acquired takes to_take raises ups increases lifts boosts')}"
            rf" {AN}{SOME}{{0,3}}?stake in (?P<target>)"
        ),
        rule(rf"{_SELLS} {AN}{SOME}{{0,3}}?stake in (?P<sold>)"),
        rule(
            rf"{_SELLS} {AN}(?P<sold>)"
            rf"(?=(?:{_WORD}){{1,8}}(?:to|for) (?:{_WORD}){{0,5}}(?:for|in) {AN}{ABOUT}{MONEY})"
        ),
        rule(rf"{_SELLS} {AN}(?P<sold>)(?=(?:{_WORD}){{0,4}}{_PART}\b)"),
        rule(rf"{VERB}complete(?:s|d)? {AN}sale of (?P<sold>)(?=(?:{_WORD}){{0,5}}{_PART}\b)"),
        rule(
            rf"{VERB}{any_of('agrees agreed accepts accepted backs recommends wins')} (?:to )?{AN}(?:[\w-]+ )?"
            rf"{ABOUT}{MONEY} (?:[\w-]+ ){{0,2}}(?:{_DEAL}|offer|bid)\b(?P<by>)"
        ),
        rule(
            rf"{VERB}(?:(?:(?:agrees )?to be|is) )?(?:acquired|bought|taken over)(?P<by>) by ",
            backed=rf"¤|\b(?:deal|{_DEAL}|{_FIRM})\b",
        ),
        rule(
            rf"{VERB}{any_of('makes? made launche[sd] tables submits lodges')} {AN}(?:[\w-]+ ){{0,2}}?{ABOUT}{MONEY}"
            rf" (?:[\w-]+ ){{0,2}}(?:{_DEAL} )?(?:offer|bid|approach) (?:for|to buy) (?P<target>)"
        ),
        rule(
            rf"{VERB}{any_of('makes? made launche[sd]')} {AN}(?:[\w-]+ ){{0,2}}?{_DEAL} (?:offer|bid) (?:for|of)"
            r" (?P<target>)"
        ),
        rule(
            rf"{_AGREES} {AN}(?:[\w-]+ ){{0,2}}?{ABOUT}{MONEY} (?:[\w-]+ ){{0,2}}?"
            rf"(?:{_DEAL}|deal to (?:buy|acquire|merge))(?: (?:deal|of|with|for))? ?(?P<target>)"
        ),
        rule(
            r"\b(?:and|with) [\w.& -]{2,30}? "
            r"(?:to merge|agreed? (?:to|on a) merger?|completed? merger|announced? merger|merge)\b"
        ),
        rule(
            r"\b(?:(?:agrees )?to merge|merges|merged|completes (?:its )?(?:[\w¤-]+ )?merger|in (?:a )?¤+ merger)"
            r" with (?P<target>)"
        ),
        rule(rf"{VERB}(?:makes|made|seals) (?:its |a )?(?:[\w-]+ ){{0,4}}acquisition\b(?=.*¤)"),
        rule(
            rf"\b(?:in|for) (?:an? )?{MONEY} (?:[\w-]+ )?{_DEAL} (?:of|with|by) (?P<target>)",
            named=False,
        ),
        rule(
            rf"{VERB}(?:spends?|spent|pays?|paid|to pay) {ABOUT}{MONEY} (?:for|on|to (?:buy|acquire)) (?P<target>)"
            rf"(?=(?:{_WORD}){{0,6}}{_FIRM}\b)"
        ),
    ),
)

# ---------------------------------------------------------------- going public

_IPO = any_of(
    r"""
    ipo i\.p\.o\. initial_public_offering stock(?:_market)?_(?:listing|debut|flotation) public_offering
    market_debut flotation"""
)
_EXCHANGE = r"(?:(?:u\.?s\.?|new york|london|american|indian|main) )?" + any_of(
    """
        nasdaq nyse new_york_stock london_stock hong_kong hkex stock_exchange stock_market wall_street lse bse
        nse shanghai star_market euronext tsx asx bourse"""
)
_MOVES = any_of(
    r"""
    soars? soared jumps? jumped surges? surged rises? rose falls? fell slides? slid drops? sinks? pops? popped
    climbs? gains? doubles? tumbles? plunges? closes? opens? opened trades?"""
)

IPO = Label(
    trigger("ipo i.p.o public debut list float trading first_day offering"),
    stop_at(
        rf"""
        {GUESSES} may_(?:file|list|go) bloomberg wsj talks world_cup runway film movie cannes album
        premier_league test test_match stage festival season tennis nba nfl years?_ago denies denied no_plans
        hopes dreams why how what ipo_(?:boom|wave|frenzy|rush|market|pipeline)"""
    ),
    (
        rule(
            rf"{VERB}(?:files?|filed|submits?|submitted|lodges) (?:[\w'-]+ ){{0,5}}?"
            r"(?:for|to|with|paperwork|draft|prospectus|confidential|its)\b.{0,40}?"
            rf"\b(?:{_IPO}|go(?:ing)? public|s-1|listing|list)\b"
        ),
        rule(
            rf"{VERB}files? (?:[\w-]+ ){{0,2}}?(?:ipo|listing|draft) "
            r"(?:papers|documents|prospectus|paperwork|confidentially)\b"
        ),
        rule(
            rf"{VERB}{any_of('raises? raised to_raise seeks? targets? targeting seeking aims?_to_raise eyes nets')}"
            rf" {ABOUT}{MONEY}(?: [\w.'-]+){{0,5}} {_IPO}\b"
        ),
        rule(
            VERB
            + any_of(
                """
                prices priced sets launche[sd] kicks_off opens begins starts completed? completes upsizes boosts
                increases postpones delays shelves withdraws pulls picks hires gets?_(?:[\\w-]+_){0,2}nod_for
                prepares?_for gears_up_for (?:wins|gets)_(?:[\\w-]+_){0,3}approval_for
                clears?_(?:[\\w-]+_){0,4}(?:hurdle|hearing)s?_(?:to|for)"""
            )
            + rf" {AN}(?:(?:terms|price range|banks) for )?{SOME}{{0,4}}?{_IPO}\b"
        ),
        rule(rf"{VERB}(?:prepares?|preparing|gears up) for {AN}{SOME}{{0,3}}?listing\b"),
        rule(
            rf"{VERB}(?:sets|fixes|raises|cuts|lifts|narrows|announces) (?:[\w¤-]+ ){{0,4}}?price(?: band| range)?"
            rf"(?: [\w¤-]+){{0,4}} (?:for|of|in) (?:[\w-]+ ){{0,3}}?{_IPO}\b"
        ),
        rule(rf"{VERB}(?:goes|went|to go) public\b(?: (?:on|in|via|through|at|with)\b|$)"),
        rule(
            rf"{VERB}(?:makes?|made) (?:its |a )?(?:[\w-]+ ){{0,4}}"
            r"(?:stock market|market|trading|nasdaq|nyse|wall street|bourse|exchange|hong kong|stock) debut\b"
        ),
        rule(
            rf"{VERB}(?:debuts?|debuted|lists?|listed|(?:begins|starts) trading|to list|to debut|goes live|floats)"
            rf" (?:shares )?(?:on|in) (?:the )?{_EXCHANGE}\b"
        ),
        rule(
            rf"{VERB}(?:(?:shares?|stock) )?{_MOVES}(?: [\w%.¤-]+){{0,4}}? (?:in|on|at|after|during|from) {AN}"
            r"(?:[\w¤-]+ ){0,3}?(?:debut|first day|ipo|listing|ipo price)\b"
        ),
        rule(
            r"(?<=\w )\bipo "
            + any_of(
                """
                opens? closes? (?:over)?subscribed priced prices allotment listing raises fully_subscribed gets
                sees running books?_covered demand debuts surges soars jumps pops lists flops draws attracts
                wins"""
            )
            + r"\b"
        ),
        rule(rf"{VERB}list(?:s|ed|ing)? (?:shares )?(?:at|with) (?:an? )?(?:[\w%.]+ )?(?:premium|discount)\b"),
    ),
)
