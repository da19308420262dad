"""compare_page: the report of compare.py (fastserve-compare/1) as one page: self-contained, no script, light and dark,
also on a phone. A bar is the median of the rounds, the line across its end reaches from the least to the greatest.
"""
import html
import time

STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1c2126; --dim: #626b74; --line: #dfe3e7; --track: #f1f3f5;
  --ours: #0b7a5c; --model: #58ab92; --peer: #7390b8; --floor: #b4bac1; --mark: #1c2126; --warn: #a33c00;
  --warn-back: #fff3e8; }
@media (prefers-color-scheme: dark) {
  :root { --back: #15181b; --text: #e4e7ea; --dim: #98a1aa; --line: #31373d; --track: #20252a; --ours: #2fb48d;
    --model: #2a7c66; --peer: #5777a3; --floor: #59616a; --mark: #f3f5f7; --warn: #ffb380; --warn-back: #35241a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: 1rem 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.75rem 0 .1rem; }
p, ul { margin: .25rem 0; }
ul { padding-left: 1.2rem; }
.dim, .dim code { color: var(--dim); font-size: .87rem; }
code { font: .87em ui-monospace, monospace; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; margin: .8rem 0; font-size: .87rem; }
.legend i { display: inline-block; width: .9rem; height: .9rem; border-radius: 2px; vertical-align: -.12rem;
  margin-right: .35rem; }
.bars { margin: .9rem 0; }
.row { display: grid; grid-template-columns: 1.6rem 10.5rem 1fr 12.5rem; column-gap: .6rem; align-items: center;
  padding: 2px 0; }
.rank { color: var(--dim); text-align: right; font-variant-numeric: tabular-nums; }
.name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.mine .name { font-weight: 650; }
.track { position: relative; height: 1.15rem; background: var(--track); border-radius: 3px; }
.bar { position: absolute; inset: 0 auto 0 0; border-radius: 3px; }
.ours { background: var(--ours); } .model { background: var(--model); }
.peer { background: var(--peer); } .floor { background: var(--floor); }
.spread { position: absolute; top: 50%; height: 9px; margin-top: -4.5px; min-width: 1px; border: solid var(--mark);
  border-width: 0 1.5px; }
.spread::before { content: ""; position: absolute; left: 0; right: 0; top: 50%; margin-top: -.75px;
  border-top: 1.5px solid var(--mark); }
.value { font-variant-numeric: tabular-nums; white-space: nowrap; }
.value small { color: var(--dim); }
.none { grid-column: 3 / -1; color: var(--dim); font-size: .87rem; overflow-wrap: anywhere; }
.warn { background: var(--warn-back); color: var(--warn); padding: .5rem .75rem; border-radius: 4px; margin: .6rem 0; }
details { margin: .6rem 0; } summary { cursor: pointer; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; } th:first-child, td:first-child { text-align: left; }
td.left { text-align: left; }
td.text { text-align: left; white-space: normal; min-width: 14rem; }
@media (max-width: 44rem) {
  .row { grid-template-columns: 1.5rem 1fr auto; padding: .3rem 0; }
  .track { grid-column: 2 / -1; grid-row: 2; }
  .none { grid-column: 2 / -1; } }
"""


def text(value):
    return html.escape(str(value), quote=True)


def items(lines):
    return "<ul>" + "".join(f"<li>{text(line)}</li>" for line in lines) + "</ul>" if lines else ""


def grid(head, rows):
    """A table that scrolls by itself where the page is narrow."""
    cells = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    titles = "".join(f"<th>{text(one)}</th>" for one in head)
    return (f'<div class="wide"><table><thead><tr>{titles}</tr></thead>'
            f"<tbody>{cells}</tbody></table></div>")


def cell(value):
    return f"<td>{text(value)}</td>"


def bars(table, show):
    """One bar for each row. Where p99 counts the shortest bar is the best, and what is far beyond the others is cut."""
    main = next(iter(table["clients"].values()))
    by = "rate_per_s" if table["sorted_by"] == "rate" else "p99_us"
    form, unit = (show.short, "/s") if by == "rate_per_s" else (show.latency, "")
    known = [row for row in main["rows"] if row["median"][by]]
    most = max((row["greatest"][by] for row in known), default=1)
    if by == "p99_us" and known:
        most = min(most, 8 * sorted(row["median"][by] for row in known)[len(known) // 2])
    out = []
    for row in main["rows"]:
        middle, least, greatest = row["median"][by] or 0, row["least"][by] or 0, row["greatest"][by] or 0
        at = [min(100.0, 100 * value / most) for value in (middle, least, greatest)]
        kind = "mine" if row["kind"] in ("ours", "model") else ""
        rank = "?" if table["too_busy"] else row["rank"]
        trouble = " !" if show.troubled(row) else ""
        out.append(f'<div class="row {kind}"><span class="rank">{rank}</span>'
                   f'<span class="name" title="{text(row["version"])}">{text(row["name"])}{trouble}</span>'
                   f'<span class="track"><span class="bar {row["kind"]}" style="width:{at[0]:.2f}%"></span>'
                   f'<span class="spread" style="left:{at[1]:.2f}%;width:{at[2] - at[1]:.2f}%"></span></span>'
                   f'<span class="value">{form(middle)}{unit} <small>{form(least)}..{form(greatest)}</small>'
                   f'{" &raquo;" if middle > most else ""}</span></div>')
    for row in table["without_figures"]:
        out.append(f'<div class="row"><span class="rank">-</span><span class="name">{text(row["name"])}</span>'
                   f'<span class="none">{text(row["reason"])}</span></div>')
    return f'<div class="bars">{"".join(out)}</div>'


def figures(table, show):
    """Everything that is known of each row."""
    by, rows = table["sorted_by"], []
    main = next(iter(table["clients"].values()))
    others = list(table["clients"])[1:]
    for row in main["rows"]:
        m = row["median"]
        failed = sum(row["failures"].values())
        cells = [f'{row["name"]} {row["version"]}', f'{m["rate_per_s"]:.0f}',
                 *(show.latency(m[f"{name}_us"], name in row["more_than"]) for name in ("p50", "p99")),
                 *(show.number(m[f"{side}_cpu_us_per_request"]) for side in ("server", "client")),
                 *(show.number(m[f"{when}_pss_bytes"], 1e6) for when in ("idle", "load")),
                 show.times(row["of_best_peer"], by), show.times(row["of_floor_local"], by), failed or ""]
        for other in others:
            its = next((one for one in table["clients"][other]["rows"] if one["key"] == row["key"]), None)
            cells.append(f'{its["median"]["rate_per_s"]:.0f}' if its else "-")
        rows.append([cell(value) for value in cells])
    what = "rate" if by == "rate" else "p99"
    head = ["server", "requests/s", "p50", "p99", "server CPU us/req", "client CPU us/req", "idle MB", "load MB",
            f"{what} of best peer", f"{what} of floor local", "errors", *(f"requests/s by {other}" for other in others)]
    notes = [f"{kind}: {line}" for kind, line in show.remarks(main["rows"])]
    return f"<details><summary>All figures</summary>{grid(head, rows)}{items(notes)}</details>"


def peers(report):
    state = {"here": "measured", "absent": "not installed", "missing": "cannot be had here", "failed": "failed"}
    rows = []
    for peer in report["peers"]:
        why = peer["reason"] + (f": {peer['install']}" if peer["state"] == "absent" else "")
        rows.append([cell(peer["name"]), cell(" ".join(peer["logs"])), cell(peer["version"] or "-"),
                     f'<td class="left">{state[peer["state"]]}</td>', f'<td class="text">{text(why)}</td>'])
    notes = [f"{peer['name']}: {peer['note']}" for peer in report["peers"] if peer["note"] and peer["state"] == "here"]
    return grid(["server", "in log", "version", "", ""], rows) + items(notes)


def section(table, show):
    """One table of the report."""
    by_rate = table["sorted_by"] == "rate"
    unit = "answers a second, more is better" if by_rate else "99th percentile of latency, less is better"
    busy = ""
    if table["too_busy"]:
        busy = f'<p class="warn">Too busy to conclude: {text(table["too_busy"])}. Nothing is ranked.</p>'
    says = [line for line in table["says"] if not line.startswith("TOO BUSY")]
    return (f'<h2>{text(table["key"])}. {text(table["title"])}</h2>'
            f'<p class="dim">log: <code>{text(table["source"])}</code><br>'
            f'here: <code>fastserve bench {text(table["bench_options"])}</code>, '
            f'{show.counted(table["rounds"])}; {unit}</p>'
            f"{busy}{bars(table, show)}{items(says)}{figures(table, show)}")


def page(report, show):
    """show: what has the forms of numbers (short, latency, number ...), so that text and page say the same."""
    m, noise = report["machine"], report["noise"]
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(report["began_unix_s"]))
    title = f'fastserve {text(report["fastserve"])} beside others'
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}, {date}</title><style>{STYLE}</style></head><body><main>
<h1>{title}</h1>
<p>{date}, {text(m["system"])}, {text(m["cpu"])}, {m["cpus"]} CPUs shared by client and server, loopback.
Before the start other work took {show.percent(noise["busy_share"])} of the CPUs, other guests
{show.percent(noise["steal_share"])}.</p>
<div class="legend"><span><i class="ours"></i>fastserve</span><span><i class="model"></i>its other models</span>
<span><i class="peer"></i>others</span>
<span><i class="floor"></i>floor: the least work an epoll server can do, the yardstick</span></div>
<p class="dim">Bars are medians of interleaved rounds, the line reaches from the least round to the greatest. The number
in front is one more than the rows that were better by more than fastserve differs from itself (A/A): equal numbers
cannot be told apart. !: with errors or doubts, which stand below "All figures".</p>
{"".join(section(table, show) for table in report["tables"])}
<h2>Servers</h2>{peers(report)}
</main></body></html>
"""
