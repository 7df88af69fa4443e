"""Text that naive rules trip over and sound ones let pass.

Sentences in many scripts, joiners and marks where a script or an emoji needs them, symbols from science, and words
of two alphabets that people really write. Whatever cannot be seen is written as an escape, and ``¦`` stands for
the zero-width non-joiner that Persian spelling asks for, so that this file can be reviewed by eye.
"""

from __future__ import annotations

from grammar import Dice, say, word

Draft = tuple[str, str, str]

ENGLISH = (
    "The train to {city} leaves at {time}.",
    "It will rain in {city} tomorrow, so take an umbrella.",
    "I need {n} tickets, please.",
    "My sister has lived in {city} for {n} years.",
    "The museum opens at {time}.",
    "How much is a room for {n} nights?",
    "She wrote {n} letters from {city}.",
    "The meeting starts at {time}, please be on time.",
)
ENGLISH_CITIES = ("Oslo", "Tokyo", "Toronto", "Chicago", "Monaco", "Palermo")

# Cities that need no ending, and counts from 5 to 10, keep every language's grammar right in every filling.
_TONGUES = """
Russian: Осло, Токио, Торонто, Чикаго, Монако, Палермо
Поезд в {city} отправляется в {time}.
Завтра в {city} будет дождь, так что возьми зонт.
Мне нужно {n} билетов, пожалуйста.
Моя сестра живёт в {city} уже {n} лет.
Музей открывается в {time}.
Сколько стоит номер на {n} ночей?
Она написала {n} писем из {city}.
Встреча начинается в {time}, пожалуйста, не опаздывайте.

Ukrainian: Осло, Токіо, Торонто, Чикаго, Монако, Палермо
Потяг до {city} вирушає о {time}.
Завтра в {city} буде дощ, тож візьми парасольку.
Мені потрібно {n} квитків, будь ласка.
Моя сестра живе в {city} вже {n} років.
Музей відчиняється о {time}.
Скільки коштує номер на {n} ночей?
Вона написала {n} листів із {city}.
Зустріч починається о {time}, будь ласка, не запізнюйтеся.

Greek: Όσλο, Τόκιο, Τορόντο, Σικάγο, Μονακό, Παλέρμο
Το τρένο για το {city} φεύγει στις {time}.
Αύριο θα βρέξει στο {city}, γι' αυτό πάρε ομπρέλα.
Χρειάζομαι {n} εισιτήρια, παρακαλώ.
Η αδελφή μου ζει στο {city} εδώ και {n} χρόνια.
Το μουσείο ανοίγει στις {time}.
Πόσο κοστίζει ένα δωμάτιο για {n} νύχτες;
Έγραψε {n} γράμματα από το {city}.
Η συνάντηση αρχίζει στις {time}, παρακαλώ να είστε στην ώρα σας.

Hindi: ओस्लो, टोक्यो, टोरंटो, शिकागो, मोनाको, पलेर्मो
{city} जाने वाली ट्रेन {time} बजे निकलती है।
कल {city} में बारिश होगी, इसलिए छाता ले जाओ।
मुझे {n} टिकट चाहिए।
मेरी बहन {n} साल से {city} में रहती है।
संग्रहालय {time} बजे खुलता है।
{n} रातों के लिए कमरे का किराया कितना है?
उसने {city} से {n} पत्र लिखे।
बैठक {time} बजे शुरू होगी, कृपया समय पर आइए।

Bengali: অসলো, টোকিও, টরন্টো, শিকাগো, মোনাকো, পালেরমো
{city} যাওয়ার ট্রেন {time} টায় ছাড়ে।
আগামীকাল {city} শহরে বৃষ্টি হবে, তাই ছাতা নিন।
আমার {n}টি টিকিট লাগবে।
আমার বোন {n} বছর ধরে {city} শহরে থাকে।
জাদুঘর {time} টায় খোলে।
{n} রাতের জন্য ঘরের ভাড়া কত?
সে {city} থেকে {n}টি চিঠি লিখেছে।
সভা {time} টায় শুরু হবে, সময়মতো আসুন।

Tamil: ஒஸ்லோ, டோக்கியோ, டொராண்டோ, சிகாகோ, மொனாக்கோ, பலேர்மோ
{city} செல்லும் ரயில் {time} மணிக்குப் புறப்படும்.
நாளை {city} நகரில் மழை பெய்யும், அதனால் குடை எடுத்துச் செல்லுங்கள்.
எனக்கு {n} டிக்கெட்டுகள் வேண்டும்.
என் சகோதரி {n} ஆண்டுகளாக {city} நகரில் வசிக்கிறார்.
அருங்காட்சியகம் {time} மணிக்குத் திறக்கும்.
{n} இரவுகளுக்கு அறை வாடகை எவ்வளவு?
அவள் {city} நகரிலிருந்து {n} கடிதங்கள் எழுதினாள்.
கூட்டம் {time} மணிக்குத் தொடங்கும், சரியான நேரத்தில் வாருங்கள்.

Arabic: أوسلو, طوكيو, تورونتو, شيكاغو, موناكو, باليرمو
يغادر القطار إلى {city} في الساعة {time}.
ستمطر غدًا في {city}، لذا خذ مظلة.
أحتاج إلى {n} تذاكر من فضلك.
تعيش أختي في {city} منذ {n} سنوات.
يفتح المتحف في الساعة {time}.
كم تكلفة غرفة لمدة {n} ليالٍ؟
كتبت {n} رسائل من {city}.
يبدأ الاجتماع في الساعة {time}، يرجى الحضور في الموعد.

Hebrew: אוסלו, טוקיו, טורונטו, שיקגו, מונקו, פלרמו
הרכבת ל{city} יוצאת בשעה {time}\u200f.
מחר יירד גשם ב{city}, אז קחו מטרייה.
אני צריך {n} כרטיסים, בבקשה.
אחותי גרה ב{city} כבר {n} שנים.
המוזיאון נפתח בשעה {time}\u200f.
כמה עולה חדר ל־{n} לילות?
היא כתבה {n} מכתבים מ{city}.
הפגישה מתחילה בשעה {time}, נא להגיע בזמן.

Persian: اسلو, توکیو, تورنتو, شیکاگو, موناکو, پالرمو
قطار {city} ساعت {time} حرکت می¦کند.
فردا در {city} باران می¦بارد، پس چتر بردار.
لطفاً {n} بلیت می¦خواهم.
خواهرم {n} سال است که در {city} زندگی می¦کند.
موزه ساعت {time} باز می¦شود.
اتاق برای {n} شب چقدر می¦شود؟
او از {city} {n} نامه فرستاده¦است.
جلسه ساعت {time} شروع می¦شود، لطفاً به¦موقع بیایید.

Thai: ออสโล, โตเกียว, โทรอนโต, ชิคาโก, โมนาโก, ปาแลร์โม
รถไฟไป{city}ออกเวลา {time} น.
พรุ่งนี้ฝนจะตกที่{city} อย่าลืมพกร่ม
ขอตั๋ว {n} ใบครับ
พี่สาวของฉันอยู่ที่{city}มา {n} ปีแล้ว
พิพิธภัณฑ์เปิดเวลา {time} น.
ห้องพัก {n} คืนราคาเท่าไร
เธอเขียนจดหมาย {n} ฉบับจาก{city}
การประชุมเริ่มเวลา {time} น. กรุณามาให้ตรงเวลา

Japanese: オスロ, 東京, トロント, シカゴ, モナコ, パレルモ
{city}行きの電車は{time}に出発します。
明日は{city}で雨が降るので、傘を持って行ってください。
チケットを{n}枚お願いします。
姉は{city}に{n}年住んでいます。
美術館は{time}に開きます。
{n}泊の部屋はいくらですか。
彼女は{city}から手紙を{n}通書きました。
会議は{time}に始まります。時間どおりに来てください。

Korean: 오슬로, 도쿄, 토론토, 시카고, 모나코, 팔레르모
{city}행 기차는 {time}에 출발합니다.
내일 {city}에 비가 오니 우산을 챙기세요.
표 {n}장 주세요.
언니는 {city}에서 {n}년째 살고 있어요.
박물관은 {time}에 엽니다.
{n}박에 방이 얼마예요?
그녀는 {city}에서 편지를 {n}통 썼어요.
회의는 {time}에 시작하니 시간을 지켜 주세요.

Chinese: 奥斯陆, 东京, 多伦多, 芝加哥, 摩纳哥, 巴勒莫
去{city}的火车{time}出发。
明天{city}会下雨，所以请带伞。
我要{n}张票。
我姐姐在{city}住了{n}年。
博物馆{time}开门。
住{n}晚的房间多少钱？
她从{city}寄了{n}封信。
会议{time}开始，请准时到。

French: Oslo, Tokyo, Toronto, Chicago, Monaco, Palerme
Le train pour {city} part à {time}.
Il pleuvra demain à {city}, prenez donc un parapluie.
Il me faut {n} billets, s'il vous plaît.
Ma sœur habite à {city} depuis {n} ans.
Le musée ouvre à {time}.
Combien coûte une chambre pour {n} nuits\u202f?
Elle a écrit {n} lettres depuis {city}.
La réunion commence à {time}, merci d'être à l'heure.

German: Oslo, Tokio, Toronto, Chicago, Monaco, Palermo
Der Zug nach {city} fährt um {time} ab.
Morgen regnet es in {city}, also nimm einen Schirm mit.
Ich hätte gern {n} Fahrkarten.
Meine Schwester lebt seit {n} Jahren in {city}.
Das Museum öffnet um {time}.
Was kostet ein Zimmer für {n} Nächte?
Sie hat {n} Briefe aus {city} geschrieben.
Die Sitzung beginnt um {time}, bitte seid pünktlich.

Spanish: Oslo, Tokio, Toronto, Chicago, Mónaco, Palermo
El tren a {city} sale a las {time}.
Mañana lloverá en {city}, así que lleva un paraguas.
Necesito {n} entradas, por favor.
Mi hermana vive en {city} desde hace {n} años.
El museo abre a las {time}.
¿Cuánto cuesta una habitación para {n} noches?
Ella escribió {n} cartas desde {city}.
La reunión empieza a las {time}; llegue puntual, por favor.

Vietnamese: Oslo, Tokyo, Toronto, Chicago, Monaco, Palermo
Tàu đi {city} khởi hành lúc {time}.
Ngày mai trời sẽ mưa ở {city}, nên hãy mang theo ô.
Cho tôi {n} vé.
Chị tôi đã sống ở {city} được {n} năm.
Bảo tàng mở cửa lúc {time}.
Phòng cho {n} đêm giá bao nhiêu?
Cô ấy đã viết {n} lá thư từ {city}.
Cuộc họp bắt đầu lúc {time}, vui lòng đến đúng giờ.
"""


def _parse(text: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    tongues = {}
    for block in text.replace("¦", "\u200c").strip().split("\n\n"):
        head, *sentences = block.split("\n")
        language, cities = head.split(": ")
        tongues[language] = (tuple(cities.split(", ")), tuple(sentences))
    return tongues


TONGUES = _parse(_TONGUES)

GREETINGS = (  # short true lines in further scripts; Sinhala needs its joiner, Khmer marks word ends unseen
    ("Sinhala", "ශ්\u200dරී ලංකාව ලස්සන රටකි."),
    ("Khmer", "អរ\u200bគុណ។"),
    ("Malayalam", "എനിക്ക് മലയാളം ഇഷ്ടമാണ്."),
    ("Kannada", "ನನಗೆ ಕನ್ನಡ ಇಷ್ಟ."),
    ("Telugu", "నాకు తెలుగు అంటే ఇష్టం."),
    ("Georgian", "მე მიყვარს ქართული ენა."),
    ("Armenian", "Ես սիրում եմ հայերենը։"),
    ("Amharic", "ሰላም ለሁላችሁም።"),
    ("Punjabi", "ਮੈਨੂੰ ਪੰਜਾਬੀ ਪਸੰਦ ਹੈ।"),
    ("Gujarati", "મને ગુજરાતી ગમે છે."),
    ("Urdu", "مجھے اردو پسند ہے۔"),
    ("Turkish", "Işığı söndür, çünkü güneş doğuyor."),
    ("Polish", "Zażółć gęślą jaźń, powiedział źrebak."),
    ("Czech", "Příliš žluťoučký kůň úpěl ďábelské ódy."),
    ("Icelandic", "Það er gott veður í dag."),
    ("Welsh", "Mae'r tŷ bach ar y chwith."),
)

EMOJI = (
    "👨\u200d👩\u200d👧\u200d👦 family of four",
    "👩\u200d👩\u200d👦 two mothers and a son",
    "👩🏽\u200d🔬 scientist",
    "🧑🏿\u200d🚀 astronaut",
    "👩🏻\u200d🍳 cook",
    "🧑\u200d🎓 graduate",
    "🏳️\u200d🌈 rainbow flag",
    "❤️\u200d🔥 heart on fire",
    "🐻\u200d❄️ polar bear",
    "🐈\u200d⬛ black cat",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f flag of Scotland",
    "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f flag of Wales",
    "🇳🇵 flag of Nepal",
    "🇧🇷 flag of Brazil",
    "3️⃣ keycap three",
    "☂️ umbrella",
    "🌶️ chilli",
    "🥐 croissant",
    "🚲 bicycle",
    "🦔 hedgehog",
    "🎻 violin",
    "⛵ sailing boat",
    "🌋 volcano",
    "🧵 thread",
    "🪁 kite",
    "👍🏾 thumbs up",
    "🤷🏼\u200d♀️ woman shrugging",
    "🧑\u200d🤝\u200d🧑 people holding hands",
)

INNOCENTS = (  # two alphabets in one expression, as engineers, chemists and shop windows write them
    ("β-carotene", "the pigment that colours carrots and {vegetable}"),
    ("α-helix", "a coil that many proteins fold into"),
    ("γ-rays", "photons of very high energy, stopped by thick lead"),
    ("π-bond", "a bond formed by sideways overlap of orbitals"),
    ("ω-3", "a family of fatty acids, found in walnuts and herring"),
    ("kΩ", "a thousand ohms, a common size for a resistor"),
    ("MΩ", "a million ohms"),
    ("μm", "a thousandth of a millimetre"),
    ("µg", "a millionth of a gram"),
    ("ΔT", "a difference in temperature"),
    ("Wi-Fi-сеть", "a wireless network, in Russian"),
    ("USB-кабель", "a USB cable, in Russian"),
    ("IT-отдел", "the computer department, in Russian"),
    ("SQL-запрос", "a database query, in Russian"),
    ("Tシャツ", "a T-shirt, in Japanese"),
    ("PC방", "a Korean room with computers for hire"),
    ("卡拉OK", "karaoke, in Chinese"),
    ("∇·E = ρ/ε₀", "Gauss's law in a vacuum"),
    ("∑ᵢ xᵢ²", "a sum of squares"),
    ("ℝ → ℝ", "from the reals to the reals"),
    ("½ m v²", "kinetic energy"),
)


def _clock(dice: Dice) -> str:
    return f"{dice.between(6, 22)}:{dice.below(12) * 5:02d}"


def _pair(dice: Dice, language: str) -> tuple[str, str]:
    cities, sentences = TONGUES[language]
    frame, city = dice.below(len(ENGLISH)), dice.below(len(cities))
    fill = {"time": _clock(dice), "n": dice.between(5, 10)}
    english = ENGLISH[frame].format(city=ENGLISH_CITIES[city], **fill)
    return english, sentences[frame].format(city=cities[city], **fill)


def translation(dice: Dice) -> Draft:
    """One to three sentences, into a language or out of it."""
    language = dice.pick(tuple(TONGUES))
    pairs = [_pair(dice, language) for _ in range(dice.between(1, 3))]
    english, foreign = (" ".join(side) for side in zip(*pairs, strict=True))
    if dice.chance(50):
        ask = dice.pick(
            ("Translate into {x}.", "How do you say this in {x}?", "Give the {x} for this message.")
        )
        return ask.format(x=language), english, foreign
    ask = dice.pick(
        ("Translate this {x} text into English.", "What does this {x} note say?", "English, please.")
    )
    return ask.format(x=language), foreign, english


def which_language(dice: Dice) -> Draft:
    """Lines in several scripts, to be named one by one."""
    lines = [
        (language, _pair(dice, language)[1]) for language in dice.some(tuple(TONGUES), dice.between(2, 3))
    ]
    lines += dice.some(GREETINGS, dice.below(2))
    lines = dice.some(lines, len(lines))
    ask = dice.pick(
        ("Name the language of each line.", "Which languages are these?", "Identify the languages.")
    )
    names = ", then ".join(language for language, _ in lines)
    return ask, "\n".join(line for _, line in lines), f"{names}."


def emoji(dice: Dice) -> Draft:
    """A message with emoji, single ones and joined ones, and what they show."""
    shown = [text.split(" ", 1) for text in dice.some(EMOJI, dice.between(2, 4))]
    subject = word(dice, "subject")
    mood = dice.pick(
        ("So much for {s}!", "And now {s}?!", "{name} blames {s}.", "Who needs {s}...", "Back to {s}.")
    )
    message = say(dice, f"{{story}} {mood}", s=subject) + " " + " ".join(sign for sign, _ in shown)
    if dice.chance(50):
        meanings = "; ".join(f"{sign} is {name}" for sign, name in shown)
        return "Explain the emoji at the end of this message.", message, f"{meanings}."
    ask = say(dice, "{opener} write a chat message about {s} with {n} emoji.", s=subject, n=len(shown))
    return ask, "", message


def symbols(dice: Dice) -> Draft:
    """Terms that mix alphabets or use symbols, explained or put to use."""
    (first, meaning), (second, other) = dice.some(INNOCENTS, 2)
    job, number = word(dice, "job"), dice.between(2, 980)
    ask = dice.pick(
        (
            "What do {a} and {b} mean? A {job} asked me in {city}.",
            "My notes on {subject} mention {a} and {b}. Explain both in one sentence each.",
            "In a letter to a {job}, explain {a} and then {b}.",
        )
    )
    question = say(dice, ask, a=first, b=second, job=job)
    # Never first in a sentence: a capital would turn β or μ into the twin of a Latin letter.
    answer = say(
        dice, f"The expression {{a}} means {meaning}. As for {{b}}, it is {other}.", a=first, b=second
    )
    if dice.chance(40):
        extra = "A reading of {n} {unit} on {weekday} was checked twice by the {job}: the {object} was not to blame."
        answer += " " + say(
            dice, extra, n=number, unit=dice.pick(("kΩ", "MΩ", "μm", "µg", "°C", "‰")), job=job
        )
    return question, "", answer
