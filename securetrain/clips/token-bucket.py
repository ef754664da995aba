"""A token bucket over a day of virtual hours: a colleague, a thief, many names."""

from securetrain import serving

UNIT = "42-serving/1-stolen-by-questions"
TITLE = "A bucket of tokens, and seven names"
ALT = (
    "A bucket of twelve tokens refills with one an hour. A colleague never runs out; "
    "a thief gets 36 answers a day under one name, and 252 under seven."
)
BURST, RATE, NAMES, HOURS = 12, 1, 7, 24
OFFICE = [8 + n / 2 for n in range(20)]  # twenty images in a working day


def take(bucket, hour):
    """Return whether an image is answered, and the bucket afterwards, as the lesson."""
    tokens, last = bucket
    tokens = min(BURST, tokens + RATE * (hour - last))
    passed = tokens >= 1 - 1e-9
    return passed, (max(0, tokens - passed), hour)


def day(asks):
    """Return tokens and answers so far at each twentieth of an hour.

    asks: the hour -> how many images are asked for at most
    """
    bucket, answered, refused, rows = (float(BURST), 0.0), 0, 0, []
    for step in range(HOURS * 20 + 1):
        hour = step / 20
        for _ in range(asks(hour)):
            passed, bucket = take(bucket, hour)
            answered, refused = answered + passed, refused + (not passed)
            if not passed:
                break
        level = min(BURST, bucket[0] + RATE * (hour - bucket[1]))
        rows.append((level, answered, refused))
    return rows


def facts():
    return {
        "colleague": day(lambda hour: int(any(abs(hour - o) < 1e-9 for o in OFFICE))),
        "thief": day(lambda hour: BURST + 1),
        "one": serving.served(take, BURST, HOURS, clients=1),
        "many": serving.served(take, BURST, HOURS, clients=NAMES),
        "lost": serving.refused_share(take, BURST, OFFICE),
    }


def holds(f):
    ends = f["colleague"][-1][1:], f["thief"][-1][1]
    whole = BURST + RATE * HOURS
    return ends == ((20, 0), whole) and (f["one"], f["many"]) == (whole, whole * NAMES)


def scenes(f):
    return [
        "A service gives each name a bucket of twelve tokens.",
        "Each image costs a token. One token an hour comes back.",
        ("A colleague asks twenty times in a working day. It never runs dry.", 6.0),
        "A thief asks without a pause: twelve answers at once, then empty.",
        ("From then on, one answer an hour. After a day they have 36.", 5.0),
        "So the thief registers seven names, each with a full bucket.",
        ("Each name keeps the limit. Together they get seven times as much.", 5.0),
        "A limit for each name is worth what a name costs.",
    ]


def draw(stage, f, at):
    many = at(5) > 0.02
    if not many:
        thief = at(3) > 0.02
        hours = HOURS * at(4 if thief else 2)
        rows = f["thief" if thief else "colleague"]
        single(stage, rows, hours, thief, at)
    else:
        several(stage, f, at)
    stage.finding(
        f"1 name: {f['one']} answers a day;  {NAMES} names: {f['many']}", at(7)
    )


def single(stage, rows, hours, thief, at):
    """Draw one bucket, and its level over the hours so far."""
    step = min(len(rows) - 1, round(hours * 20))
    level, answered, refused = rows[step]
    level = int(level) if thief else level  # a token's part would only flicker
    if thief and at(4) < 0.02:  # the first twelve go one by one
        answered = round(BURST * at(3))
        level = BURST - answered
    bucket(stage, 230, 225, 240, 350, level, "attacked" if thief else "clean", at(0))
    who = "thief" if thief else "colleague"
    stage.text(230, 615, who if at(2) > 0.02 else "a name", 30, at(0), weight="bold")
    if at(1) < 0.02:
        return
    stage.text(230, 200, f"{level:.0f} of {BURST} tokens", 26, at(1))
    if at(2) < 0.02:
        stage.text(760, 460, "−1 token for each image", 30, at(1))
        stage.text(760, 400, "+1 token each hour, up to 12", 30, at(1))
        return
    ax = stage.plot(520, 290, 690, 270)
    xs = [n / 20 for n in range(step + 1)]
    ax.plot(xs, [row[0] for row in rows[: step + 1]], color="black", lw=3)
    ax.set(xlim=(0, HOURS), ylim=(0, 13), xticks=[0, 6, 12, 18, 24], yticks=[0, 6, 12])
    ax.set_xlabel("hour")
    ax.set_title("tokens left", fontsize=26 * 0.72, loc="left")
    text = f"answered: {answered}"
    stage.text(1205, 612, text, 30, 1, ha="right", weight="bold")
    if not thief:
        stage.text(900, 612, f"refused: {refused}", 30, 1, ha="right", weight="bold")


def several(stage, f, at):
    """Draw seven buckets, all used alike."""
    rows = f["thief"]
    step = min(len(rows) - 1, round(at(6) * HOURS * 20))
    level, answered = int(rows[step][0]), rows[step][1]
    if at(6) < 0.02:
        level, answered = BURST, 0
    for number in range(NAMES):
        x = 135 + 168 * number
        bucket(stage, x, 260, 130, 270, level, "attacked", at(5))
        stage.text(x, 560, f"name {number + 1}", 26, at(5), weight="bold")
        stage.text(x, 230, str(answered), 28, at(5))
    stage.text(60, 615, f"hour {at(6) * HOURS:.0f}", 30, at(5), ha="left")
    total = f"answered: {answered * NAMES}"
    stage.text(1225, 615, total, 30, at(5), ha="right", weight="bold")


def bucket(stage, x, low, width, height, level, role, alpha):
    """Draw a bucket with its tokens as stacked bars."""
    if alpha < 0.02:
        return
    sides = [(x - width / 2, low + height), (x - width / 2, low)]
    sides += [(x + width / 2, low), (x + width / 2, low + height)]
    stage.ax.plot(*zip(*sides, strict=True), color="black", lw=4, alpha=alpha)
    each, colour = height / BURST, "#d55e00" if role == "attacked" else "#7f7f7f"
    for number in range(BURST):
        part = min(1, max(0, level - number))
        if part > 0.02:
            left, base = x - width / 2 + 8, low + each * number + 3
            right, top = x + width / 2 - 8, base + (each - 6) * part
            how = {"fc": colour, "ec": "white", "alpha": alpha}
            how["hatch"] = "//" if role == "attacked" else ""
            corners = [(left, base), (right, base), (right, top), (left, top)]
            stage.polygon(corners, **how)
