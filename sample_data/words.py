"""The words of the sample data: a small grammar of slots, each with the phrases that may fill it.

A block is ``slot: phrase | phrase | ...`` and may run over several lines; phrases may hold ``{other slots}``.
Everything in here was written for this project and is in the public domain (CC0-1.0).
"""

from __future__ import annotations

_GRAMMAR = """
name: Amara | Anselm | Ayesha | Bao | Benedikt | Bronagh | Camille | Chidi | Dagny | Dario | Desta | Eilidh
 | Emre | Esperanza | Farid | Fumiko | Gaspard | Gulnara | Hamid | Hanneke | Ifeoma | Ilse | Imani | Isamu
 | Jadwiga | Jorunn | Kamal | Keziah | Kofi | Laleh | Leonie | Lwazi | Maeve | Malik | Marisol | Mateus
 | Mehwish | Nadezhda | Nilufar | Nkechi | Oisín | Olumide | Paloma | Piet | Priya | Quentin | Rania | Ravi
 | Renske | Rohan | Saskia | Selma | Siobhán | Søren | Tadeusz | Tamsin | Thandiwe | Tomasz | Uche | Ulrike
 | Valentina | Vikram | Wanjiru | Wilhelmina | Xiomara | Yannick | Yuki | Zainab | Zdeněk | Zoë

surname: Abernathy | Adeyemi | Bjørnstad | Castellanos | Chaudhry | Delacroix | Eriksen | Fairweather | Ferreira
 | Gunawardena | Haddad | Hollingsworth | Ibáñez | Ishikawa | Jankowski | Kariuki | Kowalczyk | Lindqvist
 | Maldonado | Mbeki | Müller | Nakamura | Obuya | Okafor | O'Sullivan | Papadakis | Pellegrini | Quispe
 | Rasmussen | Rosenthal | Santangelo | Schreiber | Takahashi | Thorvaldsen | Ünal | Varga | Venkataraman
 | Whitcombe | Yamaguchi | Zielinski

city: Aarhus | Accra | Antwerp | Arequipa | Asmara | Bergen | Bologna | Bratislava | Brno | Busan | Cádiz
 | Cartagena | Coimbra | Córdoba | Cork | Cusco | Dakar | Dunedin | Essaouira | Galway | Gdańsk | Genoa | Ghent
 | Girona | Graz | Hobart | Hoi An | Innsbruck | Izmir | Jaipur | Kanazawa | Kigali | Kraków | Kyoto | León
 | Leiden | Ljubljana | Lyon | Malmö | Matera | Mérida | Montevideo | Mysore | Nantes | Oaxaca | Oslo | Palermo
 | Porto | Quito | Reykjavík | Riga | Rotterdam | Salta | Salzburg | Santiago | Sapporo | Seville | Sibiu | Split
 | Tallinn | Tartu | Tbilisi | Trieste | Turku | Valparaíso | Vilnius | Windhoek | Wrocław | York | Zanzibar

country: Argentina | Austria | Bhutan | Botswana | Chile | Croatia | Ecuador | Estonia | Finland | Georgia | Ghana
 | Iceland | India | Japan | Kenya | Latvia | Malaysia | Mexico | Morocco | Namibia | Nepal | New Zealand | Norway
 | Oman | Peru | Portugal | Romania | Rwanda | Scotland | Slovenia | South Korea | Sri Lanka | Sweden | Uruguay

weekday: Monday | Tuesday | Wednesday | Thursday | Friday | Saturday | Sunday

month: January | February | March | April | May | June | July | August | September | October | November | December

season: early spring | late spring | midsummer | the first week of autumn | harvest time | deep winter | the rainy season
 | the dry months | the school holidays | the week before the solstice

adj: ancient | awkward | battered | brittle | bright | careful | cheerful | clumsy | crooked | curious | delicate | dented
 | dusty | earnest | elegant | enormous | faded | fragile | frosty | gentle | gleaming | graceful | hollow | humble
 | immense | jagged | jolly | lopsided | lively | luminous | mellow | modest | mossy | narrow | nervous | noisy
 | odd | ornate | patient | peculiar | plain | polished | quaint | quiet | ragged | rusty | sleepy | slender | smoky
 | solemn | spotless | stubborn | sturdy | tangled | tidy | unlikely | velvety | wobbly | worn | yellowed

object: accordion | almanac | anchor | anvil | barometer | basket | bell | bicycle | birdhouse | bookcase | brooch
 | camera | candlestick | canoe | carpet | chessboard | clock | coat | compass | cradle | drum | easel | fiddle
 | flute | globe | hammock | harp | kettle | kite | ladder | lantern | loom | mandolin | map | mirror | mosaic
 | notebook | oar | painting | pendulum | piano | postcard | pulley | quilt | radio | rake | rope | saddle | scarf
 | sextant | signpost | sled | suitcase | sundial | tapestry | teapot | telescope | tent | trumpet | typewriter
 | umbrella | vase | violin | wagon | weathervane | wheelbarrow | windmill | wrench

animal: badger | barn owl | beaver | bumblebee | capybara | chameleon | cormorant | crane | dormouse | egret | ferret
 | firefly | gecko | goat | heron | hedgehog | ibex | jackdaw | kingfisher | lapwing | lynx | magpie | marmot
 | mole | moose | newt | octopus | otter | pangolin | pelican | porcupine | puffin | quail | raven | salamander
 | seahorse | snail | stoat | stork | tapir | toad | tortoise | vole | walrus | weasel | wombat | woodpecker | yak

job: archivist | baker | beekeeper | blacksmith | botanist | bus driver | carpenter | cartographer | cellist | choir leader
 | clockmaker | dentist | dockworker | electrician | farrier | ferry captain | florist | gardener | geologist
 | glassblower | goatherd | interpreter | lamp lighter | librarian | locksmith | mason | midwife | miller | nurse
 | optician | park ranger | pharmacist | plumber | postmaster | potter | radio host | roofer | seamstress
 | shipwright | surveyor | tailor | teacher | translator | vet | violin maker | watchmaker | weaver | welder

place: abbey | allotment | aqueduct | bakery | bandstand | boathouse | bridge | bus depot | canal | cannery | cellar
 | chapel | cider press | clifftop | courtyard | dairy | dovecote | ferry landing | footpath | foundry | fountain
 | garden shed | granary | greenhouse | harbour | hayloft | hilltop | ice rink | jetty | kiln | laundry | library
 | lighthouse | lock gate | market hall | meadow | mill pond | museum | observatory | orchard | paper mill | pier
 | printing house | quarry | railway arch | reading room | reservoir | riverbank | sawmill | schoolyard | signal box
 | stable | stone circle | swimming pool | tea house | theatre | toll house | tram stop | viaduct | vineyard
 | water tower | well | wharf | workshop

hobby: archery | astronomy | baking sourdough | basket weaving | birdwatching | bookbinding | calligraphy | canoeing
 | caving | chess | choir singing | collecting stamps | crochet | cycling | dry-stone walling | embroidery | fencing
 | folk dancing | foraging | gardening | geocaching | home brewing | juggling | kite flying | knitting | letterpress
 | model railways | mountain running | origami | photography | pottery | quilting | restoring radios | rowing
 | salsa dancing | sketching | table tennis | tai chi | whittling | wild swimming | woodturning | yoga

dish: apple crumble | aubergine stew | barley risotto | bean chilli | beetroot soup | buckwheat pancakes
 | butternut gratin | cabbage rolls | cardamom buns | carrot fritters | cauliflower curry | chickpea salad
 | coconut dal | corn chowder | courgette tart | fennel pasta | fish pie | flatbread | fried rice | garlic noodles
 | ginger biscuits | green shakshuka | hazelnut cake | kimchi dumplings | leek quiche | lemon chicken | lentil pie
 | mango rice | millet porridge | miso broth | mushroom stroganoff | oat bars | onion bhaji | orange marmalade
 | paella | parsnip soup | pea fritters | pear clafoutis | pilaf | plum cake | polenta bake | potato rösti
 | pumpkin gnocchi | quinoa bowl | ratatouille | rhubarb fool | rye crackers | saffron buns | semolina pudding
 | sesame greens | spinach pie | sweet potato hash | tamarind fish | tofu skewers | tomato galette | walnut pesto

vegetable: artichokes | asparagus | aubergines | beetroot | broad beans | broccoli | cabbage | carrots | cauliflower
 | celeriac | chard | courgettes | fennel bulbs | green beans | kale | kohlrabi | leeks | mushrooms | okra | parsnips
 | peas | peppers | potatoes | pumpkin | radishes | romanesco | shallots | spinach | spring onions | squash
 | swede | sweetcorn | tomatoes | turnips

staple: barley | basmati rice | black beans | borlotti beans | buckwheat | bulgur | butter beans | chickpeas | couscous
 | egg noodles | farro | freekeh | green lentils | haloumi | kidney beans | millet | orzo | paneer | pearl couscous
 | polenta | quinoa | red lentils | rice noodles | rye flour | smoked mackerel | soba | spelt | split peas | tempeh | tofu

spice: allspice | aniseed | bay leaves | black pepper | caraway | cardamom | chilli flakes | cinnamon | cloves | coriander seed
 | cumin | curry leaves | dill seed | fenugreek | garam masala | ginger | juniper berries | mace | mustard seed
 | nigella seed | nutmeg | paprika | saffron | smoked salt | star anise | sumac | turmeric | vanilla | za'atar

herb: basil | chervil | chives | coriander | dill | lemon balm | lovage | marjoram | mint | oregano | parsley | rosemary
 | sage | savory | sorrel | tarragon | thyme | wild garlic

cook: bake | blanch | braise | brown | char | fry | grill | poach | roast | sauté | simmer | steam | stew | toast

project: a bee-friendly roundabout | a bicycle repair cart | a book of local recipes | a cargo tram | a choir for beginners
 | a clay oven | a community fridge | a floating library | a guide to lichens | a heat map of potholes
 | a history of the ferry | a map of drinking fountains | a mobile dentist | a mural about the flood
 | a museum of broken umbrellas | a night school | a phone line for lonely evenings | a podcast on old trades
 | a rain garden | a repair café | a seed bank | a skate park | a small hydro plant | a solar dryer for fruit
 | a toy library | a walking bus for pupils | a wind-powered pump | an archive of whistled songs | an insect hotel
 | an oral history of the mill | an orchard on the old railway | an outdoor gym

trouble: a burst pipe | a late delivery | a leaking roof | a lost permit | a missing signature | a strike at the port
 | an early frost | a broken projector | a swarm of wasps | an empty battery | a sudden hailstorm | a stuck lift
 | a mislabelled crate | a mistake in the budget | a power cut | a flat tyre | an outbreak of flu | a double booking
 | a jammed printer | a cracked beam | an angry letter | a shortage of gravel | a closed border | a forgotten password
 | a wasp in the jam
 | a bridge under repair
 | a dispute over a fence
 | a typo on the poster
 | a goat on the stage
 | rust in the pump
 | a wrong turn
 | a stolen bell

feeling: amused | anxious | baffled | calm | content | curious | delighted | determined | embarrassed | grateful | homesick
 | hopeful | impatient | lonely | nostalgic | proud | puzzled | relieved | restless | surprised | tired | uneasy

weather: a thin drizzle | a warm wind | bright frost | distant thunder | dry heat | fog on the river | heavy snow | low cloud
 | patchy sunshine | sea mist | sharp hail | sideways rain | soft evening light | the first frost | thick haze
 | a sky like pewter
 | gusts from the hills
 | a mild, grey calm
 | steam over the fields
 | a sudden thaw

subject: acoustics | animal tracks | bread making | bridge design | bird migration | bookkeeping | coastal erosion
 | composting | crystal growth | dew points | dialects | earthworms | fermentation | folk medicine | fungi | glaciers
 | glazes | hand lettering | inland waterways | knots | lighthouse optics | maps | medieval law | metamorphic rock
 | mosses | music theory | paper folding | pollination | public health | railway signals | river deltas | road safety
 | sailing | silk | soil chemistry | stage lighting | sundials | tides | town planning | volcanoes | wool | yeast

story: {name} found a {adj} {object} near the {place} and carried it home. | A {animal} had moved into the {place}, and nobody
 dared to say so. | Every {weekday} the {job} wound the {adj} {object}. | The {job} of {city} was {feeling} about {trouble}.
 | {weather} lay over the {place} when {name} arrived. | {name} and {name} quarrelled about a {object} and a {object}.
 | The {adj} {object} had not worked since {season}. | For once the {place} was silent, apart from a {animal}.
 | {name} had promised {name} a {object}, but sold it to a {job}. | On the way to the {place}, {name} counted every {animal}.
 | Because of {trouble}, {name} slept in the {place}. | The letter from {city} smelled of {spice} and {weather}.
 | Under the floor of the {place} {name} hid a {adj} {object}. | {name} felt {feeling} and baked {dish} for the {job}.
 | The {animal} was {feeling}; the {job} was not. | There was {weather}, and then there was {trouble}.
 | {name} sold the {place} to a {job} from {country} for one {adj} {object}.
 | The {object} in the {place} ticked although it was not a clock.
 | Twice a year the {job} of {city} polishes the {object} with {spice}.
 | {name} wrote about {subject} all night, and by dawn it was {weather}.
 | What the {animal} wanted with a {object}, no one could say.
 | In {city} they say a {adj} {animal} brings {weather}.
 | {name}, usually {feeling}, took up {hobby} after {trouble}.
 | A crate marked {city} held nothing but a {object} and some {vegetable}.
 | The {job} taught {name} the first rule of {hobby}: stay {feeling}.
 | Nobody had swept the {place} since {name} left for {country}.
 | From the {place} you could hear a {animal} and, faintly, a {object}.
 | When the {object} fell, the {animal} only yawned.
 | {name} drew a map of the {place} with a {adj} pencil and a lot of hope.
 | Last {month} the {place} lent its {object} to {city}.
 | The recipe for {dish} hung in the {place}, next to a {object}.
 | {name} mistook the {job} for a {job}, which led to {trouble}.
 | Three days of {weather} turned the {place} into a pond.
 | It was {name} who first noticed {trouble} at the {place}.
 | Some {feeling} tourists from {country} asked for {dish} and got {dish}.
 | A {job} and a {job} shared the {place} without ever speaking about {subject}.
 | The speech on {subject} ended when a {animal} walked in.
 | {name} paid for the {adj} {object} with a sack of {vegetable}.
 | Under {weather} even the {place} looked {adj}.
 | By {weekday} the rumour of {trouble} had reached {city}.

ending: In the end the {object} stayed where it was. | Nobody in {city} ever mentioned it again. | {name} kept the {object} and
 gave away the {object}. | That is why the {place} still has a {adj} {object}. | By {season} it was only a story.
 | The {animal} never came back, but the {job} still waits. | {name} laughed first, and that settled it.
 | They agreed to try again in {season}.
 | The {object} is {adj} to this day.
 | And the {job}? Still {feeling}, last we heard.
 | Years later a {animal} found it again, in {country}.
 | {name} put the {object} back and closed the {place} behind them.
 | So they shared the {dish} and forgot about {trouble}.
 | What {name} said next is known only to the {animal}.
 | The {weather} passed, and with it the quarrel.
 | They called the place {name}'s corner from then on.

opener: Please | I would like you to | Kindly | Your task: | In your own words, | As a favour, | Now | Briefly | If you can, | Time to test you:

tone: warmer | more formal | shorter | friendlier | clearer | less apologetic | more direct | more polite | livelier | plainer

request: move our meeting to {weekday} | send the draft by {weekday} | check the numbers for {month} | book a room near the {place}
 | return the {object} | explain {trouble} | confirm the order of {vegetable} | share the notes on {subject}
 | invite {name} to the workshop | cancel the visit to {city} | find a speaker on {subject} | sign the form for {project}
 | lend us the {adj} {object} | bring {dish} to the party | repair the {object} in the {place} | review the plan for {project}
 | swap the {weekday} shift with {name} | collect the key from the {job} | post the photos from {city}
 | water the {vegetable} while I am in {city}
 | translate the leaflet on {subject}
 | feed the {animal} on {weekday}
 | proofread my piece about {project}
 | bring the {object} back from the {place}
 | give {name} a lift to the {place}
 | put {dish} on the menu for {month}
 | count the chairs in the {place}
 | ask the {job} for an offer
 | lock up the {place} after {hobby} practice

reason: we had {trouble} | the {job} is away until {weekday} | the {place} is closed in {month} | {name} fell ill | I am travelling to
 {city} | the budget was cut | nobody else knows {subject} | the first attempt failed | our visitors from {country} arrive early
 | the {object} broke again | I misread the calendar | {weather} is forecast | the grant for {project} came through
 | the van is full of {vegetable}
 | {name} has to see a {job}
 | {month} is always hectic at the {place}
 | I promised it to the {job} of {city}
 | the course on {subject} was moved to {weekday}
 | my {object} is stuck in {country}
 | there is a {animal} in the office
 | I have {months} reports to finish

closing: Best wishes | Kind regards | Many thanks | See you soon | With thanks | Yours | All the best | Cheers | Warm regards

tip: carry water and a hat | learn ten words of the language | avoid the {place} at noon | try the {dish} at a street stall
 | buy the day ticket | leave the car outside | start before sunrise | ask the {job} about {subject} | book two weeks ahead
 | take the slow train | stay for the music on {weekday} | bring cash for the market | pack for {weather}
 | walk up to the {place} at dusk | skip the queue at the {place} by arriving early | read up on {subject} first
 | ask for {dish} without {spice}
 | keep one evening free for {hobby}
 | bring a {adj} scarf, since {weather} is common in {month}
 | share a table with a {job} and listen
 | send the heavy bag ahead to {city}
 | look for the {adj} {object} above the door of the {place}
 | do not feed the {animal}, however {adj} it looks
 | check whether the {place} opens on {weekday}
 | swap a book at the {place}
 | rent a {adj} bicycle near the {place}

sight: the {adj} {place} above the river | a workshop where a {job} still makes each {object} by hand | the museum of {subject}
 | the old {place} with its {adj} {object} | a garden full of {herb} and {vegetable} | the night market with {dish}
 | a boat trip to see the {animal} | the tower with a {adj} {object} on top | a class in {hobby}
 | the Sunday concert in the {place} | the footpath to the {place} | the hall where {dish} is served on {weekday}
 | a shop that sells nothing but {spice} and {herb}
 | the stairs from the {place} down to the {place}
 | a cellar full of {adj} maps
 | the yearly fair of {hobby} in {month}
 | the {place} where a {animal} nests each year
 | an exhibition on {subject} in a former {place}
 | the bench by the {place}, best in {weather}
 | a {adj} tram with a {job} as its driver

praise: The {dish} was perfect and the {job} even found us a table. | I have used this {object} for {months} months and still love it.
 | What a {adj} little {place}, we will be back in {month}! | My {object} arrived early and well packed, thank you {name}.
 | A patient {job}, a {adj} room, wonderful {dish}: five stars. | Best course on {subject} I have taken in years.
 | The children talked about the {animal} all the way to {city}. | It does one thing and does it well, like my old {object}.
 | If you like {dish}, do not miss this {place}.
 | {name} explained {subject} so well that even I felt {feeling} in a good way.
 | Worth every crown: the {object} is {adj} and light.
 | I came {feeling} and left happy, mostly because of the {job}.
 | We laughed for hours; the play about the {animal} is a gem.
 | Quick answer, kind words, new {object} within two days.
 | My neighbour, a {job}, now wants one too.
 | The {hobby} weekend in {city} was the highlight of our {month}.

grumble: The {object} fell apart after {months} months and nobody answered. | Cold {dish}, a rude {job} and {weather} in the room.
 | I waited until {weekday} for a {object} that was never sent. | The tour of the {place} was cancelled without a word.
 | Far too expensive for a {adj} {object} with a crack in it. | I learned nothing about {subject} and fell asleep twice.
 | The map sent us to {city} instead of the {place}. | After {trouble} they blamed me, not their own {job}.
 | The seats were {adj}, the film on {subject} endless.
 | Two letters to {name}, no reply, still no {object}.
 | They call it a {place}; I call it a cupboard.
 | My {dish} tasted of {spice} and soap.
 | Do not book the {hobby} course unless you enjoy {trouble}.
 | The {object} looked {adj} in the photo and hopeless in my hands.
 | We left {city} {feeling} and out of pocket.
 | Neither the {job} nor the manual knew how to open the {object}.

head: B | Br | D | Dr | F | G | Gl | H | K | L | M | N | P | R | S | St | T | Tr | V | Z

core: a | e | i | o | u | ai | ea | or | il | an

link: l | m | n | r | t | d | v | sk | nd | rb

tail: vik | ford | mere | ska | nor | dale | ria | stad | holm | wen | zin | moor | tula | beck | ros | land | vale | quay

months: two | three | four | five | six | seven | eight | nine | ten | eleven
"""


def _parse(grammar: str) -> dict[str, tuple[str, ...]]:
    rules: dict[str, tuple[str, ...]] = {}
    for block in grammar.strip().split("\n\n"):
        slot, phrases = block.split(":", 1)
        rules[slot] = tuple(" ".join(phrase.split()) for phrase in phrases.split(" | "))
    return rules


RULES = _parse(_GRAMMAR)
