"""How headlines say that a regulator, a court or a law meets business, and that a central bank sets its rate.

See `event_shape` for how to read this.
"""

from __future__ import annotations

import re

from aggregator.stories.event_shape import ABOUT, AN, MONEY, VERB, Label, any_of, rule, stop_at, trigger

# ---------------------------------------------------------------- regulation

AGENCIES = any_of(
    r"""
    ftc sec doj justice_department department_of_justice cma competition_and_markets_authority
    european_commission eu_commission eu european_union brussels fcc fda cfpb nhtsa epa sebi rbi cci
    competition_commission samr fca ofcom ico accc asic apra kftc jftc bafin cnil occ finma mas cftc finra ofgem
    ofwat cade cnmv agcm u\.?s\.?_justice_department
    (?:[\w.-]+_)?(?:antitrust|competition|data_protection|privacy|financial|markets?|banking|telecoms?|media|energy|consumer|aviation|internet|online_safety|securities|drug|gambling|advertising)_(?:regulators?|watchdogs?|authority|agency|commission|commissioner|body)
    (?:eu|uk|us|u\.s\.|u\.k\.|german|french|italian|dutch|spanish|british|chinese|china|indian|japanese|korean|australian|irish|european|beijing|state|federal|swiss|canadian|brazilian|turkish|russian|japan|india|italy|france|germany|thai|nigeria|nigerian)_(?:regulators?|watchdogs?)"""
)
_ACTS = any_of(
    r"""
    fine[sd]? sue[sd]? ban(?:s|ned)? block(?:s|ed)? approve[sd]? clear(?:s|ed)? probes? investigates?
    to_investigate
    opens?_(?:an?_)?(?:[\w-]+_){0,3}?(?:probe|investigation|inquiry|case)(?:_(?:into|against|over))?
    launches?_(?:an?_)?(?:[\w-]+_){0,3}?(?:probe|investigation|inquiry)(?:_into)? order(?:s|ed)? charge[sd]?
    accuse[sd]? hits slaps penali[sz]es reject(?:s|ed)? to_look_(?:at|into) tells summons halt(?:s|ed) revokes
    suspends raids settles_with finali[sz]es propose[sd]? adopts? unveils drops?_(?:case|probe|lawsuit|suit)
    conditionally_approves gives?_(?:[\w-]+_){0,2}(?:approval|nod|green_light)_(?:to|for) demands"""
)
# What makes an act of the state one that business must heed.
_BUSINESS = any_of(
    r"""
    ai artificial_intelligence crypto\w* stablecoins? tech big_tech social_media data privacy platforms? banks?
    banking apps? app_stores? chips? semiconductors? digital online antitrust competition merg\w+ takeover
    acquisition deal company companies firms? markets? startups? carmakers? evs? vapes? plastic packaging
    fintech payments? bnpl advertis\w+ ads junk_food data_cent(?:re|er)s? investors? trading ipo listed
    insurers? subscription consumers? gig tiktok instagram chatgpt google meta apple amazon microsoft x openai
    anthropic nvidia tesla uber airbnb temu shein boeing bid stock shares blockchain tokens? etfs? whatsapp
    facebook telegram"""
)
_LAW = any_of("laws? act bill rules? regulations? legislation ban curbs restrictions")
_PASSES = VERB + any_of(
    """
    pass(?:es|ed) adopts? adopted approve[sd]? enacts? enacted signs? signed backs agrees? introduc(?:es|ed)
    proposes? unveils? to_introduce releases?(?=_draft) enforces? tightens? eases? finali[sz]es clears
    rolls_back drafts sets"""
)
_CASE = any_of("probe lawsuit suit case trial investigation charges? fine scrutiny complaint")

_PAYS = VERB + any_of("fined hit_with faces handed slapped_with gets ordered_to_pay to_pay agrees_to_pay pays")
_GOT = any_of("fined sued charged probed investigated blocked approved cleared banned ordered forced told")

REGULATION = Label(
    trigger(
        """fine sue ban block approv clear prob investigat order charg accus rule law bill act regulat watchdog
        antitrust
        competition outlaw prohibit restrict reject look halt penal settle raid forced told"""
    ),
    stop_at(
        r"""
        could might reportedly sources?(?:_say|_said)? may_(?:ban|fine|sue|block) urges? calls?_for
        demands?_(?:probe|ban) considers? mulls? weighs? should visa sanctions travel_ban
        drugs?_(?:trafficking|cartel|smuggling) murder police bribery torture football fifa uefa premier_league
        player coach umpire world_cup olympic war_crimes? genocide ukraine russia migrants? asylum deport\w*
        terror\w* settlers visits? israel iran gaza abortion gun election ceasefire summit troops fish\w*
        responds? praises? reacts? backlash hits?_back plead\w* guilty adviser actor singer star drug_laws
        divided report"""
    ),
    (
        rule(
            rf"(?:^|(?<=[ '\"(])){AGENCIES}(?:'s \w+)? {_ACTS} (?P<firm>)(?=.*\b{_BUSINESS}\b|.*¤)",
            named=False,
            company="firm",
        ),
        rule(
            rf"{VERB}(?:(?:is|was|been|being|gets|to be) )?{_GOT} (?:{ABOUT}{MONEY} )?(?:[\w-]+ ){{0,4}}?"
            rf"(?:by|in) (?:the )?{AGENCIES}\b"
        ),
        rule(
            rf"{_PAYS} {AN}(?:[\w-]+ )?{ABOUT}{MONEY} (?:[\w-]+ ){{0,3}}?(?:fine|penalty|antitrust)\b",
            least=500_000,
        ),
        rule(rf"{VERB}fined (?:a )?(?:record )?{ABOUT}{MONEY}", least=500_000),
        rule(
            rf"{VERB}{any_of('faces? hit_with hit_by under wins loses settles fights dodges avoids')} {AN}(?:new )?"
            r"(?:[\w.-]+ ){0,3}?(?:antitrust|competition|privacy|data protection|(?:anti-)?monopoly) "
            rf"(?:[\w-]+ ){{0,2}}?{_CASE}\b"
        ),
        rule(
            rf"{VERB}{any_of('wins? won gets? got receives? received secures? secured clears? gains?')} "
            r"(?:[\w.-]+ ){0,3}?(?:regulatory|antitrust|fda|eu|ftc|cma|sec|competition) "
            r"(?:[\w-]+ )?(?:approval|clearance|nod|green light|hurdle|licen[cs]e)\b"
        ),
        rule(
            rf"{_PASSES} (?:[\w'-]+ ){{0,6}}?\b{_BUSINESS}\b(?: [\w'-]+){{0,4}}? ?"
            rf"\b(?:{_LAW}|code|framework|guidelines)\b",
            ruled=True,
        ),
        rule(
            rf"{_PASSES} (?:[\w'-]+ ){{0,4}}?{_LAW} "
            rf"{any_of('on for to against over governing requiring forcing that regulating aimed_at')}"
            rf" (?:[\w'-]+ ){{0,5}}?{_BUSINESS}\b",
            ruled=True,
        ),
        rule(rf"{VERB}(?:sues|sued) (?P<firm>)", company="firm", ruled=True, backed=rf"\b{_BUSINESS}\b"),
        rule(
            rf"{VERB}(?:moves to|to) (?:ban|regulate|restrict|tax|outlaw) (?:[\w'-]+ ){{0,4}}?{_BUSINESS}\b", ruled=True
        ),
        rule(
            rf"{VERB}{any_of('bans? banned to_ban announces_ban_on outlaws prohibits restricts regulates to_regulate')}"
            r" (?:[\w'-]+ ){0,3}?"
            + any_of(
                r"""
                social_media tiktok ai crypto\w* chatbots? data_cent(?:re|er)s junk_food vapes? advertis\w+ ads
                deepseek apps? chips? single-use"""
            )
            + r"\b",
            ruled=True,
        ),
    ),
)

# ---------------------------------------------------------------- rates

# As headlines call them; "" for those that say only what they are.
BANKS = {
    "fed": "Federal Reserve", "federal reserve": "Federal Reserve", "us fed": "Federal Reserve",
    "fomc": "Federal Reserve",
    "ecb": "European Central Bank", "european central bank": "European Central Bank",
    "bank of england": "Bank of England",
    "boe": "Bank of England", "bank of japan": "Bank of Japan", "boj": "Bank of Japan", "rbi": "Reserve Bank of India",
    "reserve bank of india": "Reserve Bank of India", "rba": "Reserve Bank of Australia", "reserve bank": "",
    "reserve bank of australia": "Reserve Bank of Australia", "rbnz": "Reserve Bank of New Zealand",
    "bank of canada": "Bank of Canada", "boc": "Bank of Canada", "snb": "Swiss National Bank", "mpc": "",
    "swiss national bank": "Swiss National Bank", "riksbank": "Sveriges Riksbank", "norges bank": "Norges Bank",
    "pboc": "People's Bank of China", "people's bank of china": "People's Bank of China", "bok": "Bank of Korea",
    "bank of korea": "Bank of Korea", "cbn": "Central Bank of Nigeria", "sarb": "South African Reserve Bank",
    "copom": "Central Bank of Brazil", "central bank of brazil": "Central Bank of Brazil", "banxico": "Bank of Mexico",
    "bank of mexico": "Bank of Mexico", "bank indonesia": "Bank Indonesia", "bsp": "Bangko Sentral ng Pilipinas",
    "bank of russia": "Bank of Russia", "bank of thailand": "Bank of Thailand", "bank of israel": "Bank of Israel",
    "bank of france": "Bank of France", "bank of spain": "Bank of Spain", "bank of italy": "Bank of Italy",
    "central bank": "", "monetary policy committee": "",
}  # fmt: skip
_BANK = "|".join(sorted((re.escape(name).replace(r"\ ", " ") for name in BANKS), key=lambda name: -len(name)))
_WHO = rf"\b(?P<bank>{_BANK})"
_KIND = any_of(
    """
    interest key policy benchmark repo cash bank base lending deposit selic main borrowing prime loan_prime
    overnight official_cash monetary_policy intervention"""
)
_RATE = rf"(?:(?:[\w.'-]+ ){{0,4}}?{_KIND} (?:[\w-]+ ){{0,2}}?(?:rates?|costs)|(?:its |the |their )?rates?\b)"
_SETS = any_of(
    """
    raise[sd]? hike[sd]? lift(?:s|ed)? increase[sd]? cuts? lower(?:s|ed)? trim(?:s|med)? slashe[sd] reduce[sd]
    holds? held keeps? kept leaves? left maintain(?:s|ed)? retain(?:s|ed)? pauses delivers"""
)
_STEP = r"(?:(?:[\d.]+|a|half a|quarter[ -]|a quarter)[ -]?(?:bps|basis points?|percentage point|(?:of a )?point)"

RATES = Label(
    trigger("rate basis_point bps on_hold steady unchanged borrowing stands_pat"),
    stop_at(
        r"""
        expected expects? may_(?:raise|cut|hold|hike) might could likely should would will poised set_to
        to_(?:raise|cut|hold|hike|keep) signals? sees forecasts? poll bets? hopes? fears? urges? calls? demands?
        pressure wants mortgage tax cricket nightclub after_(?:the_)?(?:fed|ecb|boj|boe|rba|rbi) before ahead_of
        mulls considers? debate weighs? if shares stocks? traders minutes economists? hotels? cylinder lpg
        bank_(?:cuts|raises)_(?:fd|fixed) fd_rates? years?_ago"""
    ),
    (
        rule(
            rf"{_WHO}(?:'s (?:mpc|committee))?(?:, in [\w ]{{3,20}},)? "
            rf"(?:(?:again|unexpectedly|surprisingly|finally|sharply|unanimously) )?{_SETS} {_RATE}",
            named=False,
        ),
        rule(
            rf"{_WHO} (?:[\w-]+ )?{_SETS} (?:[\w.'%-]+ ){{0,4}}?(?:by )?{_STEP}|on hold|steady|unchanged)\b",
            named=False,
        ),
        rule(
            rf"{_WHO} (?:delivers|announces|makes|opts for|stands pat|votes to) (?:[\w.-]+ ){{0,5}}?"
            r"(?:rate (?:cut|hike|rise|increase)|(?:cut|hike|hold|raise|keep) (?:interest )?rates|pat)\b",
            named=False,
        ),
        rule(
            rf"\binterest rates? (?:are |is )?"
            rf"{any_of('cut raised held hiked lifted lowered kept left unchanged rises? falls?')}"
            rf" (?:[\w.%-]+ ){{0,6}}?(?:by|as) (?:the )?{_WHO}\b",
            named=False,
        ),
        rule(
            r"(?<=\w )"
            rf"{any_of('raise[sd]? hike[sd]? lifts? cuts? lowers? slashes holds? held keeps? leaves? trims')} {AN}"
            r"(?:[\w-]+ ){0,2}?(?:interest|key|policy|benchmark|repo|cash|lending) (?:[\w-]+ )?rates?\b"
        ),
        rule(
            r"(?<=\w )(?:raise[sd]?|hike[sd]?|cuts?|holds?|held) rates "
            r"(?:in surprise|by|to|for|as|steady|after|again)\b"
        ),
    ),
)
