"""How headlines say what a firm earned, whom it lets go, what it launches. See `event_shape` for how to read this."""

from __future__ import annotations

from aggregator.stories.event_shape import (
    ABOUT,
    AN,
    COUNT,
    GAP,
    GUESSES,
    MONEY,
    SOME,
    VERB,
    Label,
    any_of,
    rule,
    stop_at,
    trigger,
)

# ---------------------------------------------------------------- earnings

_PERIOD = any_of(
    r"""
    (?:first|second|third|fourth|1st|2nd|3rd|4th)[-_]quarter [1-4]q q[1-4] quarterly annual full[-_]year
    half[-_]year (?:first|second)[-_]half h[12] yearly fy\d\d interim nine-month six-month fiscal(?:[-_]\w+)?"""
)
_RESULT = any_of("profits? loss(?:es)? revenues? earnings sales income results ebitda eps turnover net_profit margins?")
_FORECAST = any_of("forecasts? guidance outlook estimates? expectations targets? views?")
_MOVES = any_of(
    """
    rises? rose falls? fell jumps? jumped drops? dropped slides? slid surges? surged soars? soared plunges?
    plunged sinks? sank tumbles? tumbled climbs? climbed grows? grew gains? slips? slipped dips? dipped
    declines? declined doubles? doubled triples? tripled halves halved shrinks? shrank narrows? narrowed widens?
    widened beats? misses missed tops? topped hits? exceeds? exceeded up down leaps? leapt rebounds?
    more_than_doubles? nearly_(?:doubles|halves) trails? lags? swells? (?:edges|inches)_up crosses falls?_short
    disappoints? skyrockets? rockets? plummets? plummeted slumps? slumped"""
)
_REPORTS = VERB + any_of(
    """
    reports? reported posts? posted logs? logged books? booked records? recorded delivers? delivered
    sw[iu]ngs?_to returns_to notches announces announced declares clocks clocked turns earns earned reveals"""
)
_BEATS = VERB + any_of(
    "beats? tops? misses missed exceeds? surpass(?:es)? crush(?:es)? smashes trails falls_short_of matches"
)
_REACTS = VERB + any_of(
    "tumbles? drops? falls? slides? slumps? sinks? plunges? jumps? soars? surges? rises? rallies climbs? gains"
)
_CHANGE = any_of("rise drop fall jump increase decline growth surge gain") + " in "
_CHANGES = VERB + any_of(
    """
    raise[sd]? cuts? lower(?:s|ed)? lift(?:s|ed)? trim(?:s|med)? slashe[sd] hike[sd]? boost(?:s|ed)? reaffirms?
    reiterates? maintains? keeps? withdraws? suspends? ups upgrades downgrades backs confirms narrows pulls
    scraps issues gives"""
)
_EXPECTS = VERB + any_of("forecasts? sees expects guides projects predicts anticipates")
_KIND = any_of(
    "net operating pre-?tax core adjusted underlying gross record standalone consolidated group trading cloud ad"
)
_DEGREE = (
    any_of(
        rf"""
        an? its higher lower strong(?:er)? weak(?:er)? record improved improving flat better worse good
        large(?:r)? small(?:er)? big(?:ger)? wider narrower slight minimal net operating group first full
        \d{{4}} {_PERIOD.replace(" ", "_")}"""
    )
    + " "
)

EARNINGS = Label(
    trigger(
        """
        profit loss revenue earnings sales income results forecast guidance outlook estimates expectations ebitda
        turnover eps margin"""
    ),
    stop_at(
        r"""
        net_worth gst tax taxes tournament open grand_slam box_office exports? imports? retail_sales home_sales
        auto_sales car_sales industrial_profits industry airlines banks farmers? households? gdp economy
        government council police imf world_bank oecd analysts?_(?:say|expect) trade odi ipl t20 loss_to match
        season defeat results_in election exam deaths crime could might quarter-?finals? semi-?finals?
        (?:growth|gdp|inflation)_forecast oil_price migrants? personal_income weight_loss losses_of_life"""
    ),
    (
        rule(rf"{_REPORTS} (?:{GAP}{{0,3}}?{_CHANGE})?{GAP}{{0,6}}?(?:{_PERIOD} )?(?:[\w-]+ )?{_RESULT}\b"),
        rule(rf"{_REPORTS} {ABOUT}{MONEY} (?:in )?{GAP}{{0,3}}?{_RESULT}\b"),
        rule(rf"{_BEATS} (?:on )?{GAP}{{0,4}}?(?:{_PERIOD} )?(?:{_RESULT} )?(?:{_FORECAST}|{_RESULT})\b"),
        rule(rf"(?<=\w ){_PERIOD} (?:[\w-]+ ){{0,3}}?{_RESULT} (?:[\w-]+ )?{_MOVES}\b"),
        rule(
            rf"(?<=\w )(?:{_PERIOD} )?(?:{_KIND} )?"
            rf"(?:profits?|net income|earnings|revenues?|operating income|net loss|losses|loss|income) {_MOVES}\b"
        ),
        rule(
            rf"{_CHANGES} (?:{AN}{SOME}{{0,4}}?){_FORECAST}\b",
            backed=rf"\b(?:{_RESULT}|{_PERIOD}|guidance|shares|stock)\b",
        ),
        rule(rf"{_EXPECTS} (?:{_DEGREE}){{0,5}}{_RESULT}\b"),
        rule(
            rf"{_REACTS} (?:[\d.]+% )?(?:as|after|on) {GAP}{{0,3}}?"
            rf"(?:revenues?|profits?|earnings|results|guidance|{_PERIOD})\b"
        ),
        rule(
            rf"{VERB}(?:issues?|issued|sounds) {AN}(?:[\w-]+ ){{0,2}}?"
            r"(?:profit|revenue|sales|earnings) (?:warning|alert)\b"
        ),
        rule(rf"{VERB}warns (?:on|of|about) (?:[\w-]+ ){{0,2}}(?:profits?|earnings|{_PERIOD})|\bprofit warning\b"),
        rule(rf"(?<=\w ){_PERIOD} (?:results|earnings)(?:$|:| (?:show|beat|miss|top|today|live|2\d))"),
        rule(r"(?<=\w )earnings (?:beat|miss|top|fall short|disappoint|impress)\b"),
    ),
)

# ---------------------------------------------------------------- jobs that go

_STAFF = any_of(
    """
    jobs? staff workers? positions? roles? employees? employes workforce headcount people posts engineers
    staffers journalists managers"""
)
_CUTS = VERB + any_of(
    """
    cuts? cutting to_cut slash(?:es|ing)? to_slash axes? to_axe axing sheds? to_shed eliminates? to_eliminate
    eliminating culls? trims? to_trim offshores? to_offshore sacks? to_sack fires? to_fire scraps? to_scrap
    reduces? drops plans_to_(?:cut|axe|slash|eliminate|shed) announces will_cut confirms"""
)
_LAYOFFS = any_of("layoffs lay-offs job_cuts redundancies staff_cuts mass_firings")

_BEGINS = VERB + any_of(
    "announce[sd] begins began starts started confirm(?:s|ed) launches conducts plans hit_by kicks_off"
)

LAYOFFS = Label(
    trigger("lay job redundan staff workforce worker employe role position headcount people post engineer firing"),
    stop_at(
        rf"""
        {GUESSES} without_(?:cutting|layoffs) no_(?:layoffs?|plans|job_cuts) avoid\w* den(?:y|ies|ied)
        after_(?:cutting|laying|\d[\d,]*_(?:layoffs|job_cuts)|layoffs|mass_layoffs|job_cuts) fewer_jobs
        may_(?:cut|lay) would fears? warns? warning calls?_for protest\w* strikes? against survey study
        report_says message_(?:to|for) ai_(?:will|to|could) years?_ago wrongful\w* sues? lawsuit missiles?
        shots? rockets? accused illegally creates? to_create jobless payrolls economy labou?r_market costs tax
        rates visa fired_(?:on|at) trump government cabinet minister coach coaches police soldiers troops
        hostages prisoners killed shooting"""
    ),
    (
        rule(rf"{VERB}(?:lays?|laid|laying|layoffs?|to lay|will lay) off (?P<jobs>{COUNT})"),
        rule(rf"{VERB}(?:lays|laid|to lay|laying|will lay) off (?:[\w%'-]+ ){{0,5}}?{_STAFF}\b"),
        rule(rf"{VERB}to layoff (?P<jobs>\d[\d,]*)"),
        rule(
            rf"{_CUTS} (?:(?:as many as|an additional|a further) )?(?P<jobs>{COUNT})(?: of)?(?: its| their| the)?"
            rf" (?:[\w'-]+ ){{0,4}}?{_STAFF}\b(?! redundan)"
        ),
        rule(rf"{VERB}(?:makes|making|to make) (?P<jobs>{COUNT}) (?:[\w-]+ ){{0,3}}?redundant\b"),
        rule(rf"{_BEGINS} (?:[\w-]+ ){{0,4}}?{_LAYOFFS}\b"),
        rule(
            rf"\b(?P<jobs>{COUNT}) (?:[\w-]+ ){{0,2}}?(?:jobs|roles|positions|workers|employees|staff) "
            + any_of(
                """
                to_go cut axed lost laid_off to_be_(?:cut|axed|lost) to_lose_jobs
                fac(?:es?|ing)_(?:layoffs?|redundancy) at_risk set_to_go will_go"""
            )
            + r" (?:at|as|from|in|after|by) (?P<firm>)",
            named=False,
            company="firm",
        ),
        rule(
            rf"\b{_LAYOFFS} (?:announced|begin|hit|start|confirmed|underway) (?:at )?(?P<firm>)",
            named=False,
            company="firm",
        ),
        rule(r"\bjob cuts:"),
        rule(
            rf"{VERB}(?:to shut|shuts|closes|to close|collapses|shutting).{{0,30}}"
            r"\b(?:workers|staff|jobs|employees) (?:face|facing|lost|lose|to go|at risk|axed|cut)\b"
        ),
    ),
)

# ---------------------------------------------------------------- launches

_PRODUCT = any_of(
    r"""
    apps? models? chips? chipsets? (?:smart)?phones? iphones? ipads? cars? evs? suvs? vehicles? trucks?
    platforms? services? tools? features? assistants? products? cards? subscriptions? laptops? tablets?
    headsets? headphones earbuds (?:smart)?watch(?:es)? gpus? processors? apis? browsers? operating_systems?
    software robots? robotaxis? chatbots? bot version beta wallets? stores? marketplace collections? line-?up
    stablecoin etfs? glasses consoles? games? cameras? speakers? tvs? motorcycles? bikes? scooters? drones? ai
    agents? suite search_engine cloud_service servers? sdk ios macos android windows linux payments? streaming
    supercomputer computer pcs? toolkit menu drinks? burger sneakers? perfume flagship edition devices?
    wearables? bundle tier os pro mini ultra gpt siri copilot gemini claude battery batteries sensor display
    foldable hypercar sedan aircraft pickup crossover hatchback"""
)

LAUNCH = Label(
    trigger("launch unveil introduc debut roll releas ships showcas wraps selling brings"),
    stop_at(
        rf"""
        {GUESSES} missiles? strikes? attacks? war probe investigat\w+ inquiry campaign crackdown operation
        manhunt raids? offensive bid appeal lawsuit initiative scheme polic(?:y|ies) buyback memorial rockets?
        ceasefire sanctions? election party parliament summit auction airstrikes? torpedo\w* troops nuclear
        plant factory recovery portrait statue tax budget fund trust_fund programme program strategy hostages?
        prisoners? prison jail jailed custody video footage reports? documents files statement photos? images?
        album song single film movie trailer teaser poster book memoir may_(?:launch|unveil|release) leaks?
        expected_to how_to_watch when delay\w* postpon\w* cancel\w* recall\w* before_they_launch plans?_to
        visas? bans? drill protest\w* petition search_for rescue rival_to_watch health school students? hospital
        census hotline helpline scholarship competition contest awards? joint_venture takeover offer ipo trial
        pilot charges legal spacecraft mission astronauts? moon mars space_station border satellites?
        investment_plan"""
    ),
    (
        rule(
            VERB
            + any_of(
                """
                launch(?:es|ed)? to_launch unveil(?:s|ed)? to_unveil introduc(?:es|ed) debuts debuted
                roll(?:s|ed)_out to_roll_out rolling_out releases to_release ships showcases brings_out
                takes_the_wraps_off (?:starts|begins)_(?:selling|shipping) relaunches brings_back"""
            )
            + rf" (?=(?:[\w'’.&+/¤-]+ ){{0,7}}?{_PRODUCT}\b)"
        ),
    ),
)
