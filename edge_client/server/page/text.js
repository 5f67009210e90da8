// A text on the page: its tokens in the order in which they stand, settled ones before provisional ones.

const WHO = {
  accepted: "accepted by the device, unasked",
  confirmed: "drafted by the device, confirmed by the target",
  target: "written by the target",
  alone: "written by the device, as the target was away",
};

/** One text that is being written; `place` is the element that holds it. */
export class Text {
  constructor(place) {
    this.place = place;
    this.settled = [];
    this.drafted = [];
    this.fallen = ""; // what stood, provisional, where the next token will stand, and was taken back
  }

  /** What has happened to the text; returns what it added to the settled part. */
  take(events) {
    let added = "";
    for (const event of events) {
      if (event.type === "provisional") {
        const shown = span(event.text, "provisional");
        this.place.append(shown);
        this.drafted.push(shown);
        this.fallen = "";
      } else if (event.type === "retract") {
        const fallen = this.drafted.splice(this.drafted.length - event.tokens);
        for (const shown of fallen) shown.remove();
        if (!this.drafted.length) this.fallen = fallen[0].textContent;
      } else {
        added += event.text;
        this.#settle(event);
      }
    }
    return added;
  }

  #settle({ text, origin, doubt }) {
    const shown = this.drafted.shift() ?? this.place.appendChild(span("", origin));
    shown.textContent = text;
    shown.className = `token ${origin}`;
    this.settled.push({ text, origin, doubt, fallen: this.fallen, shown });
    this.fallen = "";
  }

  /** Nothing comes any more; `written` has a token's log-probability each, if the text was written to its end. */
  end(written) {
    for (const shown of this.drafted.splice(0)) shown.remove();
    written?.forEach((token, i) => {
      this.settled[i].logprob = token.logprob;
    });
    this.ended = written ? "whole" : "stopped";
  }

  /** How many tokens there are by origin. */
  counts() {
    const counts = { accepted: 0, confirmed: 0, target: 0, alone: 0, provisional: this.drafted.length };
    for (const { origin } of this.settled) counts[origin] += 1;
    return counts;
  }

  /** The text itself. */
  get content() {
    return this.settled.map(({ text }) => text).join("");
  }

  /** Which token an element shows, from 0; -1 for none. */
  find(shown) {
    return this.settled.findIndex((token) => token.shown === shown);
  }

  /** A settled token in a few sentences: who decided, what was drafted and doubted, and what the target thinks of it. */
  describe(i) {
    const { text, origin, logprob, doubt, fallen } = this.settled[i];
    return [
      `${text ? JSON.stringify(text) : "Nothing to be seen"}, token ${i + 1} of ${this.settled.length}: ${WHO[origin]}.`,
      ...(fallen && fallen !== text ? [`Before that, ${JSON.stringify(fallen)} stood here, not judged yet.`] : []),
      ...(typeof doubt === "number" ? [`The verifier's doubt about what the device drafted here: ${percent(doubt)}.`] : []),
      this.#opinion(logprob),
    ].join(" ");
  }

  #opinion(logprob) {
    if (!this.ended) return "How likely it is to the target is told at the end.";
    if (this.ended === "stopped") return "How likely it is to the target is not known: the text was not written to its end.";
    if (logprob === null) return "The target has not seen it.";
    return `Its probability under the target: ${percent(Math.exp(logprob))}.`;
  }
}

/** A share in per cent, with as many digits as say something. */
export function percent(share) {
  const value = 100 * share;
  const digits = value >= 10 ? 0 : value >= 1 ? 1 : value >= 0.01 ? 2 : value > 0 ? 4 : 0;
  return `${value.toFixed(digits)}\u00a0%`;
}

function span(text, kind) {
  const made = document.createElement("span");
  made.className = `token ${kind}`;
  made.textContent = text;
  return made;
}
