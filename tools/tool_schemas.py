"""The tools, requests and plain messages of which ``make_tool_calls.py`` makes the questions."""

from dataclasses import dataclass
from typing import Any

LANGUAGES = ("en", "de", "fr", "es", "pt", "zh", "ja")


def text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def integer(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "integer", "description": description, **more}


def number(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "number", "description": description, **more}


def choice(description: str, *values: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "enum": list(values), "description": description, **more}


def date(description: str) -> dict[str, Any]:
    return {"type": "string", "format": "date", "description": f"{description}, as YYYY-MM-DD"}


def clock(description: str) -> dict[str, Any]:
    return {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$", "description": f"{description}, as HH:MM"}


def flag(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "boolean", "description": description, **more}


def many(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "description": description, **more}


def nested(properties: dict[str, Any], required: list[str], description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        "description": description,
    }


@dataclass(frozen=True, slots=True)
class Tool:
    """One function with the requests that need it."""

    name: str
    about: str
    kind: str
    """What is difficult about its arguments: the group ``kind``."""
    properties: dict[str, Any]
    required: list[str]
    slots: dict[str, str]
    """Path of an argument -> what is drawn for it."""
    asks: dict[str, list[tuple[str, dict[str, Any]]]]
    """Language -> (request with slots, arguments that the words fix)."""
    lacks: str = ""
    """A request that leaves a required value out."""
    then: "SecondTurn | None" = None
    """A second request that needs the result of the first call."""

    def schema(self) -> dict[str, Any]:
        """As OpenAI's ``tools`` has it."""
        parameters = {
            "type": "object",
            "properties": self.properties,
            "required": self.required,
            "additionalProperties": False,
        }
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.about, "parameters": parameters},
        }


@dataclass(frozen=True, slots=True)
class SecondTurn:
    """A request that refers to the result of a first call."""

    tool: str
    argument: str
    """Argument that takes the first result."""
    value: str
    """What is drawn for it (kinds of ``make_tool_calls.draw``)."""
    request: str
    fixed: dict[str, Any]
    """Arguments that the words of the request fix."""
    key: str
    """Key of the first result."""


TOOLS: list[Tool] = [
    Tool(
        "get_weather",
        "Current weather in a city.",
        "enum",
        {
            "city": text("City, in the words of the request"),
            "unit": choice("Unit of temperature", "celsius", "fahrenheit"),
        },
        ["city", "unit"],
        {"city": "city", "unit": "enum:celsius|fahrenheit"},
        {
            "en": [("What is the weather in {city} right now? In {unit}, please.", {})],
            "de": [("Wie ist das Wetter gerade in {city}? Bitte in {unit}.", {})],
            "zh": [("现在 {city} 的天气怎么样？请用 {unit}。", {})],
        },
        lacks="What is the weather like right now, in celsius?",
    ),
    Tool(
        "get_forecast",
        "Weather forecast for a city over some days.",
        "optional field",
        {
            "city": text("City"),
            "days": integer("Days ahead", minimum=1, maximum=10, default=3),
            "hourly": flag("Hour by hour", default=False),
        },
        ["city"],
        {"city": "city", "days": "int:4:10"},
        {
            "en": [("Give me the forecast for {city}.", {}), ("Give me the forecast for {city} over {days} days.", {})],
            "fr": [("Quelles sont les prévisions pour {city} sur {days} jours, heure par heure ?", {"hourly": True})],
        },
        lacks="Give me the forecast over 5 days.",
    ),
    Tool(
        "convert_currency",
        "Convert an amount of money.",
        "number",
        {
            "amount": number("Amount"),
            "source": text("ISO code of the currency to convert from", pattern="^[A-Z]{3}$"),
            "target": text("ISO code of the currency to convert to", pattern="^[A-Z]{3}$"),
        },
        ["amount", "source", "target"],
        {"amount": "step:5:900:0.5"},
        {
            "en": [
                ("Convert {amount} EUR to JPY.", {"source": "EUR", "target": "JPY"}),
                ("How much is {amount} USD in CHF?", {"source": "USD", "target": "CHF"}),
            ],
            "es": [("Convierte {amount} BRL a KES.", {"source": "BRL", "target": "KES"})],
            "ja": [("{amount} CHF は何 EUR ですか？換算してください。", {"source": "CHF", "target": "EUR"})],
        },
        lacks="How much is that in JPY? I have EUR.",
    ),
    Tool(
        "create_event",
        "Put an event into the calendar.",
        "date",
        {
            "title": text("Title"),
            "day": date("Day of the event"),
            "start": clock("Start"),
            "minutes": integer("Length in minutes", default=60),
        },
        ["title", "day", "start"],
        {"title": "title", "day": "date", "start": "time", "minutes": "step:15:55:5"},
        {
            "en": [('Add "{title}" to my calendar on {day} at {start}.', {})],
            "de": [("Trage „{title}“ am {day} um {start} in meinen Kalender ein.", {})],
            "pt": [
                ('Acrescenta "{title}" à minha agenda no dia {day} às {start}, durante 90 minutos.', {"minutes": 90})
            ],
        },
        lacks='Add "Bird walk" to my calendar at 10:00.',
        then=SecondTurn("delete_event", "event_id", "int:1000:9999", "Delete that event again.", {}, "event_id"),
    ),
    Tool(
        "delete_event",
        "Remove an event from the calendar.",
        "union",
        {
            "event_id": {
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "description": "Number, or code such as AX-204",
            }
        },
        ["event_id"],
        {"event_id": "union"},
        {
            "en": [("Please remove event {event_id} from my calendar.", {})],
            "fr": [("Supprime l'événement {event_id} de mon agenda.", {})],
        },
        lacks="Please remove one of my calendar events, you know which.",
    ),
    Tool(
        "send_email",
        "Send an e-mail.",
        "list",
        {
            "to": many("Addresses", minItems=1, uniqueItems=True),
            "subject": text("Subject"),
            "body": text("Body"),
            "urgent": flag("Mark as urgent", default=False),
        },
        ["to", "subject", "body"],
        {"to": "list:email", "subject": "title", "body": "text"},
        {
            "en": [('Send an e-mail to {to} with the subject "{subject}" and exactly this body: {body}', {})],
            "es": [
                (
                    'Envía un correo urgente a {to} con el asunto "{subject}" y exactamente este texto: {body}',
                    {"urgent": True},
                )
            ],
        },
        lacks='Send an e-mail with the subject "Budget talk" and the body: see you there',
    ),
    Tool(
        "send_message",
        "Send a short text message to a contact.",
        "free text",
        {"contact": text("Full name of the contact"), "message": text("The text to send, unchanged")},
        ["contact", "message"],
        {"contact": "person", "message": "text"},
        {
            "en": [("Text {contact}: {message}", {})],
            "de": [("Schreibe {contact} genau diese Nachricht: {message}", {})],
            "zh": [("给 {contact} 发送这条短信，原文照发：{message}", {})],
        },
        lacks="Text Mei Lin for me.",
    ),
    Tool(
        "find_flights",
        "Search for flights.",
        "nested object",
        {
            "route": nested(
                {"origin": text("IATA code"), "destination": text("IATA code")},
                ["origin", "destination"],
                "From where to where",
            ),
            "day": date("Day of departure"),
            "cabin": choice("Class", "economy", "business", "first", default="economy"),
        },
        ["route", "day"],
        {
            "route.origin": "enum:LIS|NBO|KIX|UIO",
            "route.destination": "enum:TLL|HAN|ORK|GRZ",
            "day": "date",
            "cabin": "enum:business|first",
        },
        {
            "en": [
                ("Find flights from {route_origin} to {route_destination} on {day}.", {}),
                ("Find {cabin} class flights from {route_origin} to {route_destination} on {day}.", {}),
            ],
            "de": [("Suche Flüge von {route_origin} nach {route_destination} am {day}.", {})],
            "fr": [("Cherche des vols de {route_origin} à {route_destination} le {day}.", {})],
        },
        lacks="Find flights from LIS to HAN.",
        then=SecondTurn(
            "book_flight",
            "flight_id",
            "code",
            "Book that one for Rosa Delgado.",
            {"passenger": "Rosa Delgado"},
            "flight_id",
        ),
    ),
    Tool(
        "book_flight",
        "Book a flight that was found.",
        "free text",
        {"flight_id": text("Code of the flight"), "passenger": text("Full name")},
        ["flight_id", "passenger"],
        {"flight_id": "code", "passenger": "person"},
        {
            "en": [("Book flight {flight_id} for {passenger}.", {})],
            "es": [("Reserva el vuelo {flight_id} para {passenger}.", {})],
        },
        lacks="Book flight AX-204.",
    ),
    Tool(
        "set_alarm",
        "Set an alarm.",
        "optional field",
        {
            "at": clock("Time"),
            "repeat": choice("How often", "once", "daily", "weekdays", default="once"),
            "label": text("Label"),
        },
        ["at"],
        {"at": "time", "repeat": "enum:daily|weekdays", "label": "word"},
        {
            "en": [("Set an alarm for {at}.", {}), ('Set a {repeat} alarm for {at} labelled "{label}".', {})],
            "ja": [("{at} にアラームをセットしてください。", {})],
        },
        lacks="Set a daily alarm.",
    ),
    Tool(
        "start_timer",
        "Start a countdown.",
        "number",
        {"seconds": integer("Length in seconds", minimum=1)},
        ["seconds"],
        {"seconds": "int:10:900"},
        {
            "en": [("Start a timer of {seconds} seconds.", {}), ("Start a timer of five minutes.", {"seconds": 300})],
            "de": [("Starte einen Timer von {seconds} Sekunden.", {})],
        },
        lacks="Start a timer for me.",
    ),
    Tool(
        "set_thermostat",
        "Set the temperature of a room.",
        "enum",
        {
            "room": choice("Room", "kitchen", "bedroom", "office", "hall"),
            "celsius": number("Temperature in degrees Celsius", minimum=5, maximum=30),
        },
        ["room", "celsius"],
        {"room": "enum:kitchen|bedroom|office|hall", "celsius": "step:16:25:0.5"},
        {
            "en": [("Set the {room} to {celsius} degrees Celsius.", {})],
            "pt": [('Põe a divisão "{room}" a {celsius} graus Celsius.', {})],
        },
        lacks="Set the temperature to 21 degrees Celsius.",
    ),
    Tool(
        "switch_light",
        "Switch a light on or off.",
        "boolean",
        {"room": choice("Room", "kitchen", "bedroom", "office", "hall"), "on": flag("True: on")},
        ["room", "on"],
        {"room": "enum:kitchen|bedroom|office|hall"},
        {
            "en": [
                ("Turn the light in the {room} off.", {"on": False}),
                ("Turn the light in the {room} on.", {"on": True}),
            ],
            "de": [("Schalte das Licht im Raum „{room}“ ein.", {"on": True})],
            "zh": [("请关掉 {room} 的灯。", {"on": False})],
        },
        lacks="Turn the light off.",
    ),
    Tool(
        "add_to_cart",
        "Put a product into the shopping cart.",
        "number",
        {"product": text("Name of the product"), "quantity": integer("How many", minimum=1, default=1)},
        ["product"],
        {"product": "product", "quantity": "int:2:12"},
        {
            "en": [("Put {quantity} of the {product} into my cart.", {}), ("Put the {product} into my cart.", {})],
            "fr": [("Ajoute {quantity} fois l'article « {product} » à mon panier.", {})],
        },
        lacks="Put three of them into my cart.",
    ),
    Tool(
        "track_parcel",
        "Where a parcel is.",
        "union",
        {
            "parcel": {
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "description": "Tracking number, or code such as AX-204",
            }
        },
        ["parcel"],
        {"parcel": "union"},
        {
            "en": [("Where is parcel {parcel}?", {})],
            "es": [("¿Dónde está el paquete {parcel}?", {})],
        },
        lacks="Where is my parcel?",
    ),
    Tool(
        "ship_order",
        "Send an order to an address.",
        "nested object",
        {
            "order": integer("Number of the order"),
            "address": nested(
                {
                    "street": text("Street and number"),
                    "zip": text("Postal code, five digits", pattern="^[0-9]{5}$"),
                    "city": text("City"),
                },
                ["street", "zip", "city"],
                "Where to",
            ),
        },
        ["order", "address"],
        {"order": "int:1000:9999", "address.street": "street", "address.zip": "zip", "address.city": "city"},
        {
            "en": [("Ship order {order} to {address_street}, {address_zip} {address_city}.", {})],
            "de": [("Versende Bestellung {order} an {address_street}, {address_zip} {address_city}.", {})],
        },
        lacks="Ship order 4711.",
    ),
    Tool(
        "search_library",
        "Search a library's catalogue.",
        "optional field",
        {
            "query": text("Words to search for"),
            "language": choice("Language of the book", "english", "german", "french"),
            "limit": integer("Most results", default=10),
        },
        ["query"],
        {"query": "topic", "language": "enum:english|german|french", "limit": "int:2:9"},
        {
            "en": [
                ("Search the library for {query}.", {}),
                ("Search the library for {language} books on {query}, {limit} results at most.", {}),
            ],
            "fr": [("Cherche « {query} » dans la bibliothèque.", {})],
        },
        then=SecondTurn(
            "reserve_book",
            "book_id",
            "int:100:999",
            "Reserve that book for Jonas Weber.",
            {"reader": "Jonas Weber"},
            "book_id",
        ),
    ),
    Tool(
        "reserve_book",
        "Reserve a book of the library.",
        "free text",
        {"book_id": integer("Number of the book"), "reader": text("Full name")},
        ["book_id", "reader"],
        {"book_id": "int:100:999", "reader": "person"},
        {
            "en": [("Reserve book {book_id} for {reader}.", {})],
            "pt": [("Reserva o livro {book_id} para {reader}.", {})],
        },
        lacks="Reserve a book for Leila Haddad.",
    ),
    Tool(
        "translate_word",
        "Look a word up in a dictionary.",
        "enum",
        {"word": text("English word"), "into": choice("Language", "german", "french", "spanish", "japanese")},
        ["word", "into"],
        {"word": "word", "into": "enum:german|french|spanish|japanese"},
        {
            "en": [('Look up the {into} for "{word}" in the dictionary.', {})],
            "de": [('Schlage das englische Wort „{word}“ im Wörterbuch nach, Zielsprache "{into}".', {})],
        },
    ),
    Tool(
        "add_task",
        "Add a task to the to-do list.",
        "date",
        {
            "task": text("What is to be done"),
            "due": date("Due day"),
            "priority": choice("Priority", "low", "normal", "high", default="normal"),
        },
        ["task", "due"],
        {"task": "title", "due": "date", "priority": "enum:low|high"},
        {
            "en": [
                ('Add the task "{task}", due {due}.', {}),
                ('Add the task "{task}" with {priority} priority, due {due}.', {}),
            ],
            "es": [('Añade la tarea "{task}" para el {due}.', {})],
        },
        lacks='Add the task "Garden planning".',
        then=SecondTurn("finish_task", "task_id", "int:10:99", "Mark it as finished.", {}, "task_id"),
    ),
    Tool(
        "finish_task",
        "Mark a task as finished.",
        "number",
        {"task_id": integer("Number of the task")},
        ["task_id"],
        {"task_id": "int:10:99"},
        {
            "en": [("Mark task {task_id} as finished.", {})],
            "ja": [("タスク {task_id} を完了にしてください。", {})],
        },
        lacks="Mark my task as finished.",
    ),
    Tool(
        "tag_notes",
        "Add tags to a note.",
        "list",
        {"note": integer("Number of the note"), "tags": many("Tags", uniqueItems=True, minItems=1)},
        ["note", "tags"],
        {"note": "int:1:400", "tags": "list:tag"},
        {
            "en": [("Add these tags to note {note}: {tags}.", {})],
            "fr": [("Ajoute ces étiquettes à la note {note} : {tags}.", {})],
        },
        lacks="Add the tag family to my note.",
    ),
    Tool(
        "read_file",
        "Read a file of the workspace.",
        "optional field",
        {
            "path": text("Path of the file", pattern="^/"),
            "first_line": integer("First line", default=1),
            "last_line": {
                "anyOf": [{"type": "integer"}, {"type": "null"}],
                "default": None,
                "description": "Last line; null: to the end",
            },
        },
        ["path"],
        {"path": "path", "first_line": "int:2:20", "last_line": "int:30:90"},
        {
            "en": [("Read the file {path}.", {}), ("Read lines {first_line} to {last_line} of {path}.", {})],
            "de": [("Lies die Datei {path}.", {})],
        },
        lacks="Read lines 3 to 9 of the file.",
    ),
    Tool(
        "ping_host",
        "Check that a host answers on the network.",
        "number",
        {"host": text("Host name"), "count": integer("Packets", default=4)},
        ["host"],
        {"host": "host", "count": "int:5:20"},
        {
            "en": [("Ping {host}.", {}), ("Ping {host} with {count} packets.", {})],
            "zh": [("用 {count} 个数据包 ping 一下 {host}。", {})],
        },
        lacks="Ping the host with 8 packets.",
    ),
    Tool(
        "restart_service",
        "Restart a service on a host.",
        "enum",
        {
            "host": text("Host name"),
            "service": choice("Service", "web", "database", "queue", "mail"),
            "force": flag("Without waiting for open requests", default=False),
        },
        ["host", "service"],
        {"host": "host", "service": "enum:web|database|queue|mail"},
        {
            "en": [
                ("Restart the {service} service on {host}.", {}),
                ("Force a restart of the {service} service on {host}.", {"force": True}),
            ],
            "es": [('Reinicia el servicio "{service}" en {host}.', {})],
        },
        lacks="Restart the web service.",
    ),
    Tool(
        "scale_deployment",
        "Set how many copies of a deployment run.",
        "nested object",
        {
            "deployment": text("Name"),
            "replicas": integer("Copies", minimum=0),
            "limits": nested(
                {"cpu": number("Cores"), "memory_gib": number("GiB")}, ["cpu", "memory_gib"], "Limits of one copy"
            ),
        },
        ["deployment", "replicas"],
        {"deployment": "word", "replicas": "int:2:9", "limits.cpu": "step:0.5:4:0.5", "limits.memory_gib": "int:1:8"},
        {
            "en": [
                ('Scale the deployment "{deployment}" to {replicas} replicas.', {}),
                (
                    'Scale the deployment "{deployment}" to {replicas} replicas of {limits_cpu} cores and {limits_memory_gib} GiB each.',
                    {},
                ),
            ],
            "de": [("Skaliere das Deployment „{deployment}“ auf {replicas} Kopien.", {})],
        },
        lacks='Scale the deployment "anchor".',
    ),
    Tool(
        "query_sales",
        "Sum of sales over a period.",
        "date",
        {
            "period": nested(
                {"start": date("First day"), "end": date("Last day")}, ["start", "end"], "Both days included"
            ),
            "group_by": choice("Grouping", "day", "week", "month", default="day"),
        },
        ["period"],
        {"period.start": "date", "period.end": "date", "group_by": "enum:week|month"},
        {
            "en": [
                ("Sum the sales from {period_start} to {period_end}.", {}),
                ("Sum the sales from {period_start} to {period_end} by {group_by}.", {}),
            ],
            "fr": [("Additionne les ventes du {period_start} au {period_end}.", {})],
        },
        lacks="Sum the sales since 2027-01-02.",
    ),
    Tool(
        "compound_interest",
        "Value of a deposit after some years.",
        "number",
        {
            "principal": number("Money at the start"),
            "rate": number("Interest a year as a fraction, 0.05 for 5 %"),
            "years": integer("Years"),
        },
        ["principal", "rate", "years"],
        {"principal": "step:500:9000:250", "years": "int:2:30"},
        {
            "en": [("What becomes of {principal} at 5 % a year over {years} years? Use the function.", {"rate": 0.05})],
            "pt": [
                ("Em quanto se transformam {principal} a 2,5 % ao ano em {years} anos? Usa a função.", {"rate": 0.025})
            ],
        },
        lacks="What becomes of 1,000 at 5 % a year? Use the function.",
    ),
    Tool(
        "body_mass_index",
        "Body mass index.",
        "number",
        {"kilograms": number("Weight"), "metres": number("Height")},
        ["kilograms", "metres"],
        {"kilograms": "step:50:98:0.5", "metres": "step:1.5:1.98:0.01"},
        {
            "en": [("Compute the body mass index of someone of {kilograms} kg and {metres} m.", {})],
            "ja": [("体重 {kilograms} kg、身長 {metres} m の BMI を計算してください。", {})],
        },
        lacks="Compute the body mass index of someone of 70 kg.",
    ),
    Tool(
        "roll_dice",
        "Roll dice.",
        "optional field",
        {"count": integer("How many", default=1), "sides": integer("Sides of each", default=6)},
        [],
        {"count": "int:2:8"},
        {
            "en": [("Roll a die for me.", {}), ("Roll {count} dice for me.", {})],
            "de": [("Würfle mit {count} Würfeln.", {})],
        },
    ),
    Tool(
        "play_music",
        "Play music.",
        "union",
        {
            "what": {
                "anyOf": [text("Title"), nested({"artist": text("Artist")}, ["artist"], "Anything by an artist")],
                "description": "A title as text, or an object with the artist",
            }
        },
        ["what"],
        {"what": "title", "what.artist": "person"},
        {
            "en": [('Play the title "{what}".', {}), ("Play anything by the artist {what_artist}.", {})],
            "es": [('Pon la canción titulada "{what}".', {})],
        },
        lacks="Play something by my favourite artist.",
    ),
    Tool(
        "set_volume",
        "Set the volume of a speaker.",
        "number",
        {
            "speaker": choice("Speaker", "kitchen", "bedroom", "office"),
            "percent": integer("Volume", minimum=0, maximum=100),
        },
        ["speaker", "percent"],
        {"speaker": "enum:kitchen|bedroom|office", "percent": "int:1:100"},
        {
            "en": [("Set the {speaker} speaker to {percent} percent.", {})],
            "zh": [("把 {speaker} 的音箱音量调到百分之 {percent}。", {})],
        },
        lacks="Set the volume to 40 percent.",
    ),
    Tool(
        "order_meal",
        "Order a meal.",
        "nested object",
        {
            "dish": text("Dish"),
            "options": nested(
                {
                    "spicy": flag("Spicy", default=False),
                    "without": many("Ingredients to leave out", uniqueItems=True, default=[]),
                },
                [],
                "How it is made",
            ),
            "portions": integer("Portions", default=1),
        },
        ["dish"],
        {"dish": "dish", "portions": "int:2:6"},
        {
            "en": [
                ("Order {portions} portions of {dish}.", {}),
                (
                    "Order {dish}, spicy, without garlic and onion.",
                    {"options.spicy": True, "options.without": ["garlic", "onion"]},
                ),
            ],
            "fr": [("Commande {portions} portions du plat « {dish} ».", {})],
        },
        lacks="Order two portions, please.",
    ),
    Tool(
        "reserve_table",
        "Reserve a table at a restaurant.",
        "date",
        {"restaurant": text("Name"), "day": date("Day"), "time": clock("Time"), "guests": integer("Guests", minimum=1)},
        ["restaurant", "day", "time", "guests"],
        {"restaurant": "word", "day": "date", "time": "time", "guests": "int:2:11"},
        {
            "en": [('Reserve a table for {guests} at the restaurant "{restaurant}" on {day} at {time}.', {})],
            "de": [
                ("Reserviere im Restaurant „{restaurant}“ einen Tisch für {guests} Personen am {day} um {time}.", {})
            ],
            "es": [('Reserva una mesa para {guests} en el restaurante "{restaurant}" el {day} a las {time}.', {})],
        },
        lacks='Reserve a table at the restaurant "Copper" for 4.',
        then=SecondTurn(
            "cancel_booking",
            "booking",
            "code",
            "We cannot come after all, cancel it because of illness.",
            {"reason": "illness"},
            "booking",
        ),
    ),
    Tool(
        "cancel_booking",
        "Cancel a booking.",
        "enum",
        {
            "booking": text("Code of the booking"),
            "reason": choice("Reason", "illness", "weather", "other", default="other"),
        },
        ["booking"],
        {"booking": "code", "reason": "enum:illness|weather"},
        {
            "en": [("Cancel booking {booking}.", {}), ("Cancel booking {booking} because of {reason}.", {})],
            "pt": [("Cancela a reserva {booking}.", {})],
        },
        lacks="Cancel my booking because of the weather.",
    ),
    Tool(
        "find_train",
        "Search for trains.",
        "date",
        {"origin": text("Town"), "destination": text("Town"), "day": date("Day"), "arrive_by": clock("Latest arrival")},
        ["origin", "destination", "day"],
        {
            "origin": "enum:Graz|Cork|Osaka",
            "destination": "enum:Tallinn|Izmir|Halifax",
            "day": "date",
            "arrive_by": "time",
        },
        {
            "en": [
                ("Find a train from {origin} to {destination} on {day}.", {}),
                ("Find a train from {origin} to {destination} on {day} that arrives by {arrive_by}.", {}),
            ],
            "fr": [("Trouve un train de {origin} à {destination} le {day}.", {})],
        },
        lacks="Find a train to Izmir.",
    ),
    Tool(
        "log_workout",
        "Write a workout down.",
        "enum",
        {
            "sport": choice("Sport", "running", "cycling", "swimming", "rowing"),
            "minutes": integer("Length"),
            "distance_km": number("Distance"),
        },
        ["sport", "minutes"],
        {"sport": "enum:running|cycling|swimming|rowing", "minutes": "int:15:120", "distance_km": "step:2:42:0.5"},
        {
            "en": [
                ("Log {minutes} minutes of {sport}.", {}),
                ("Log {minutes} minutes of {sport} over {distance_km} km.", {}),
            ],
            "ja": [("{sport} を {minutes} 分間として記録してください。", {})],
        },
        lacks="Log my running.",
    ),
    Tool(
        "remember_birthday",
        "Store a birthday.",
        "date",
        {"person": text("Full name"), "birthday": date("Day of birth")},
        ["person", "birthday"],
        {"person": "person", "birthday": "past"},
        {
            "en": [("Store {birthday} as the birthday of {person}.", {})],
            "de": [("Speichere als Geburtstag von {person}: {birthday}.", {})],
        },
        lacks="Store the birthday of Piotr Nowak.",
    ),
    Tool(
        "compare_products",
        "Compare products.",
        "list",
        {
            "products": many("Names, at least two", minItems=2, uniqueItems=True),
            "by": choice("What counts", "price", "weight", "rating"),
        },
        ["products", "by"],
        {"products": "list:product", "by": "enum:price|weight|rating"},
        {
            "en": [("Compare these products by {by}: {products}.", {})],
            "es": [('Compara estos productos por "{by}": {products}.', {})],
        },
        lacks="Compare the oak table by price.",
    ),
    Tool(
        "route_distance",
        "Distance by road along some towns.",
        "list",
        {"towns": many("Towns in the order of travel", minItems=2)},
        ["towns"],
        {"towns": "list:city"},
        {
            "en": [("How far is it by road along these towns in this order: {towns}?", {})],
            "pt": [("Qual é a distância por estrada por estas cidades, nesta ordem: {towns}?", {})],
        },
        lacks="How far is it by road from Graz?",
    ),
    Tool(
        "grant_access",
        "Give a person access to a project.",
        "nested object",
        {
            "person": text("Full name"),
            "grant": nested(
                {
                    "project": text("Name"),
                    "role": choice("Role", "reader", "writer", "owner"),
                    "until": date("Last day"),
                },
                ["project", "role"],
                "What is given",
            ),
        },
        ["person", "grant"],
        {"person": "person", "grant.project": "word", "grant.role": "enum:reader|writer|owner", "grant.until": "date"},
        {
            "en": [
                ('Make {person} {grant_role} of the project "{grant_project}".', {}),
                ('Make {person} {grant_role} of the project "{grant_project}" until {grant_until}.', {}),
            ],
            "de": [('Gib {person} im Projekt „{grant_project}“ die Rolle "{grant_role}".', {})],
        },
        lacks='Make Jonas Weber a member of the project "saffron".',
    ),
    Tool(
        "open_ticket",
        "Open a support ticket.",
        "enum",
        {
            "summary": text("Summary"),
            "severity": choice("Severity", "minor", "major", "critical"),
            "labels": many("Labels", uniqueItems=True, default=[]),
        },
        ["summary", "severity"],
        {"summary": "text", "severity": "enum:minor|major|critical", "labels": "list:tag"},
        {
            "en": [
                ("Open a {severity} ticket with this summary: {summary}", {}),
                ("Open a {severity} ticket with the labels {labels} and this summary: {summary}", {}),
            ],
            "zh": [("创建一个严重程度为 {severity} 的工单，摘要原文为：{summary}", {})],
        },
        lacks="Open a critical ticket.",
        then=SecondTurn(
            "assign_ticket",
            "ticket",
            "int:2000:2999",
            "Assign it to Amara Okafor.",
            {"assignee": "Amara Okafor"},
            "ticket",
        ),
    ),
    Tool(
        "assign_ticket",
        "Assign a support ticket.",
        "free text",
        {"ticket": integer("Number of the ticket"), "assignee": text("Full name")},
        ["ticket", "assignee"],
        {"ticket": "int:2000:2999", "assignee": "person"},
        {
            "en": [("Assign ticket {ticket} to {assignee}.", {})],
            "fr": [("Attribue le ticket {ticket} à {assignee}.", {})],
        },
        lacks="Assign the ticket to Tomás Silva.",
    ),
    Tool(
        "resize_image",
        "Resize an image.",
        "union",
        {
            "image": text("Path", pattern="^/"),
            "size": {
                "anyOf": [
                    {"type": "integer", "description": "Percent"},
                    nested(
                        {"width": integer("Pixels"), "height": integer("Pixels")}, ["width", "height"], "Exact size"
                    ),
                ],
                "description": "Percent as a number, or an object with width and height",
            },
        },
        ["image", "size"],
        {"image": "path", "size": "int:10:95", "size.width": "int:100:900", "size.height": "int:100:900"},
        {
            "en": [
                ("Resize the image {image} to {size} percent.", {}),
                ("Resize the image {image} to {size_width} by {size_height} pixels.", {}),
            ],
            "de": [("Verkleinere das Bild {image} auf {size} Prozent.", {})],
        },
        lacks="Resize the image to 50 percent.",
    ),
]

CHAT: list[tuple[str, str]] = [
    ("en", "Good morning! How are you?"),
    ("en", "Thank you, that was all."),
    ("en", "What is the capital of Portugal? Just tell me."),
    ("en", "Explain in two sentences what a function is in mathematics."),
    ("en", "Write a short poem about rain."),
    ("en", "What is 7 times 8?"),
    ("en", "Which is longer, a mile or a kilometre?"),
    ("en", "Do not call any function. Name three colours."),
    ("en", "Who wrote Don Quixote?"),
    ("en", "Rewrite this more politely: give me the report."),
    ("en", "Which functions do you have? Describe them in words, without calling any."),
    ("en", "Is the word 'harvest' a noun or a verb?"),
    ("en", "Give me a tip for falling asleep."),
    ("en", "Spell the word 'necessary' backwards."),
    ("en", "Tell me a joke about a librarian."),
    ("en", "I like your answers. What is your favourite season?"),
    ("de", "Guten Abend! Wie geht es dir?"),
    ("de", "Was ist die Hauptstadt von Estland? Bitte nur die Antwort."),
    ("de", "Erkläre in einem Satz, was ein Kalender ist."),
    ("de", "Rufe keine Funktion auf. Nenne drei Obstsorten."),
    ("fr", "Bonjour ! Comment vas-tu ?"),
    ("fr", "Qui a peint La Joconde ?"),
    ("fr", "Explique en une phrase ce qu'est une bibliothèque."),
    ("fr", "N'appelle aucune fonction. Cite trois animaux."),
    ("es", "¡Hola! ¿Qué tal?"),
    ("es", "¿Cuántos días tiene una semana?"),
    ("es", "Escribe una frase sobre el mar."),
    ("pt", "Olá! Como estás?"),
    ("pt", "Quantas horas tem um dia?"),
    ("pt", "Escreve uma frase sobre o vento."),
    ("zh", "你好！你好吗？"),
    ("zh", "一年有几个季节？"),
    ("zh", "请用一句话解释什么是图书馆。"),
    ("ja", "こんにちは。お元気ですか？"),
    ("ja", "一週間は何日ですか？"),
    ("ja", "雨について短い文を書いてください。"),
]
"""(language, message) that needs no function."""

UNSERVED: list[tuple[str, str]] = [
    ("en", "Water the plants on my balcony for me."),
    ("en", "Repair the brakes of my bicycle."),
    ("en", "Print this page on the printer in the cellar."),
    ("en", "Record tonight's film on channel four."),
    ("en", "File my tax return with the tax office."),
    ("en", "Transfer 40 euros to my sister's bank account."),
    ("en", "Unlock my car."),
    ("en", "Feed the cat at seven."),
    ("en", "Take a photo with my phone's camera."),
    ("en", "Call a taxi to my door right now."),
    ("en", "Renew my passport."),
    ("en", "Measure my heart rate."),
    ("en", "Change the oil of the lawn mower."),
    ("en", "Post this sentence on a social network for me: the soup was good."),
    ("de", "Mähe bitte den Rasen hinter dem Haus."),
    ("de", "Überweise 20 Euro an den Verein."),
    ("de", "Öffne das Garagentor."),
    ("fr", "Ouvre la porte du garage, s'il te plaît."),
    ("fr", "Prends une photo avec l'appareil."),
    ("fr", "Fais la vaisselle."),
    ("es", "Arregla la lavadora, por favor."),
    ("es", "Abre el coche."),
    ("pt", "Rega as plantas da varanda."),
    ("pt", "Imprime esta página."),
    ("zh", "请帮我修自行车。"),
    ("zh", "请打开车库门。"),
    ("ja", "庭の芝生を刈ってください。"),
    ("ja", "車の鍵を開けてください。"),
]
"""(language, wish) that none of the functions serves."""
