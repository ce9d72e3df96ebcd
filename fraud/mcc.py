"""Merchant category codes (ISO 18245): what each is called, and how well its trade turns a card into money."""

from __future__ import annotations

_CASH = ("6010", "6011")
_RESOLD = (
    "4511", "4722", "4814", "5045", "5309", "5310", "5311", "5533", "5571", "5651", "5661", "5691", "5699", "5712",
    "5722", "5732", "5733", "5734", "5944", "5945", "5946", "5977", "7011",
)  # fmt: skip
_HIGH = (
    "4816", "4829", "5122", "5815", "5816", "5817", "5818", "5947", "5962", "5966", "5967", "5968", "5993", "6012",
    "6051", "6211", "6538", "6540", "7273", "7801", "7802", "7994", "7995",
)  # fmt: skip

MCC_RISK: dict[str, float] = {
    **dict.fromkeys(_CASH, 1.0),
    **dict.fromkeys(_RESOLD, 2.0),
    **dict.fromkeys(_HIGH, 3.0),
}
"""1: cash, which asks for a PIN. 2: goods, journeys and nights that are resold. 3: what can be had at once and from
anywhere: quasi-cash, stored value, bets, digital goods, and the trades that card networks list as high-risk without the
card. All others are everyday trades: 0. A prior, not a measurement: the model learns what each is worth, and
`merchant_fraud_rate_*` what each merchant is."""

_SPANS = ((3000, 3350, "airline"), (3351, 3500, "car rental"), (3501, 3999, "hotel"))
"""Codes that one carrier, rental or hotel chain has to itself."""

_NAMES = """
0742 veterinary services|0780 gardening|1520 building contractors|1711 heating and plumbing|1731 electricians
1799 special trades|2741 publishing and printing|4111 local transport|4112 railways|4119 ambulances|4121 taxis
4131 bus lines|4214 haulage|4215 couriers|4411 cruises|4511 airline|4582 airports|4722 travel agencies
4784 road tolls|4789 transport|4812 telephones|4814 telephone services|4816 online services|4829 money transfer
4899 cable and streaming television|4900 electricity, gas and water|5013 car parts, wholesale
5045 computers, wholesale|5047 medical equipment|5065 electronic parts|5072 hardware, wholesale
5094 precious stones and metals|5111 office paper|5122 medicines, wholesale|5137 uniforms|5139 shoes, wholesale
5172 oil products|5192 books, wholesale|5193 flowers, wholesale|5198 paint|5199 goods, wholesale|5200 home supply stores
5211 building materials|5231 glass, paint and wallpaper|5251 hardware stores|5261 garden centres|5300 wholesale clubs
5309 duty-free shops|5310 discount stores|5311 department stores|5331 variety stores|5399 general merchandise
5411 supermarkets|5422 butchers|5441 sweets|5451 dairies|5462 bakeries|5499 food stores|5511 car dealers
5532 tyres|5533 car parts|5541 petrol stations|5542 petrol pumps|5551 boat dealers|5571 motorcycle dealers
5611 men's clothing|5621 women's clothing|5631 accessories|5641 children's clothing|5651 clothing|5655 sports clothing
5661 shoes|5681 furs|5691 clothing for all|5697 tailors|5699 clothing and accessories|5712 furniture|5713 floors
5714 curtains|5719 home furnishing|5722 household appliances|5732 electronics|5733 musical instruments|5734 software
5735 music|5811 caterers|5812 restaurants|5813 bars|5814 fast food|5815 digital books, films and music
5816 digital games|5817 digital applications|5818 digital goods|5912 pharmacies|5921 wine and spirits
5931 second-hand shops|5932 antiques|5933 pawn shops|5935 wrecking yards|5937 reproductions|5940 bicycles
5941 sporting goods|5942 books|5943 stationery|5944 watches and jewellery|5945 toys and games|5946 cameras
5947 gifts and souvenirs|5948 luggage|5949 fabrics|5950 glass and crystal|5960 insurance by mail
5962 travel by telephone|5963 door-to-door sales|5964 catalogue sales|5965 catalogue and shop sales
5966 outbound telephone sales|5967 inbound telephone sales|5968 subscriptions|5969 direct marketing|5970 art supplies
5971 art dealers|5972 stamps and coins|5973 religious goods|5975 hearing aids|5976 orthopaedic goods|5977 cosmetics
5978 typewriters|5983 fuel dealers|5992 florists|5993 tobacco|5994 newspapers|5995 pet shops|5996 swimming pools
5997 electric razors|5998 tents and awnings|5999 specialist shops|6010 cash at a bank|6011 cash machine
6012 financial institution|6051 quasi-cash and crypto|6211 securities|6300 insurance|6513 estate agents
6538 money to a card|6540 prepaid cards|7011 hotel|7012 timeshares|7032 sporting camps|7033 camping|7210 laundries
7216 dry cleaners|7221 photographers|7230 hairdressers|7251 shoe repair|7261 funerals|7273 dating|7276 tax advice
7277 counselling|7278 shopping clubs|7296 clothes rental|7297 massage|7298 health and beauty|7299 personal services
7311 advertising|7321 credit reports|7333 commercial photography|7338 copy shops|7342 pest control|7349 cleaning
7361 employment agencies|7372 programming|7375 information services|7379 computer repair|7392 consulting
7393 security services|7394 equipment rental|7395 photo laboratories|7399 business services|7512 car rental
7513 truck rental|7519 motor home rental|7523 parking|7531 body repair|7534 tyre repair|7535 car painting
7538 car repair|7542 car washes|7549 towing|7622 electronics repair|7623 air conditioning repair|7629 appliance repair
7631 watch repair|7641 furniture repair|7692 welding|7699 repairs|7800 state lotteries|7801 online casinos
7802 horse and dog racing|7829 film distribution|7832 cinemas|7841 video rental|7911 dancing|7922 theatre tickets
7929 bands|7932 billiards|7933 bowling|7941 sports clubs|7991 tourist attractions|7992 golf courses
7993 video games|7994 arcades|7995 betting and casinos|7996 amusement parks|7997 clubs|7998 aquariums|7999 recreation
8011 doctors|8021 dentists|8031 osteopaths|8041 chiropractors|8042 opticians|8043 eyeglasses|8049 podiatrists
8050 nursing|8062 hospitals|8071 laboratories|8099 health services|8111 lawyers|8211 education|8220 universities
8241 distance education|8244 business education|8249 vocational education|8299 education|8351 child care|8398 charities
8641 associations|8651 political organisations|8661 religious organisations|8675 motoring clubs|8699 membership
8734 testing laboratories|8911 architects|8931 accountants|8999 professional services|9211 courts|9222 fines
9223 bail|9311 taxes|9399 government services|9402 post|9405 government purchases
"""
_NAME_OF = dict(entry.split(" ", 1) for line in _NAMES.strip().splitlines() for entry in line.split("|"))


def mcc_name(code: str) -> str | None:
    """What a category is called, in plain words; None where we have no word for it.

    >>> mcc_name("5411"), mcc_name("3058"), mcc_name("5651"), mcc_name("9999")
    ('supermarkets', 'airline', 'clothing', None)
    """
    name = _NAME_OF.get(code)
    if name is not None or not code.isdecimal():
        return name
    return next((called for first, last, called in _SPANS if first <= int(code) <= last), None)
