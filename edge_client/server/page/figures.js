// What a text took, from the server's figures.

import { percent } from "/page/text.js";

const PARTS = [
  ["draft", "Device drafts"],
  ["verifier", "Device doubts"],
  ["waited", "Waits for the target"],
];

/** Show the figures of one text, which may still go on.
 *
 * `of` are the server's, `prompt` the tokens of the prompt; `steer` has the criterion and the budget, where one steered;
 * `price` may be null.
 */
export function show(place, of, prompt, steer, price) {
  const parts = [
    list([
      ["Tokens", of.tokens],
      ["Tokens per second", of.tokens_per_second.toFixed(1)],
      ["First token after", time(of.first_token_ms)],
      ["Calls to the target", of.calls],
      ["Calls per token", each(of.calls, of.tokens, 3)],
      ["Round trip", of.round_trip_ms === null ? "not known" : time(of.round_trip_ms)],
      ["Bytes up per token", each(of.bytes_up, of.tokens, 1)],
      ["Bytes down per token", each(of.bytes_down, of.tokens, 1)],
      ["Bytes of the prompt", of.bytes_prompt],
      ...(of.seed === undefined ? [] : [["Seed", of.seed]]),
    ]),
    ...times(of),
    ...offTarget(of, steer),
    ...money(of, prompt, price),
    ...(of.explanation ? [element("h3", "Why this way"), element("p", of.explanation)] : []),
    ...(of.warnings ?? []).map((warning) => element("p", warning, "warning")),
  ];
  place.replaceChildren(...parts);
}

function times(of) {
  const rest = of.total_ms - PARTS.reduce((sum, [name]) => sum + of[`${name}_ms`], 0);
  const rows = [...PARTS.map(([name, label]) => [name, label, of[`${name}_ms`]]), ["rest", "Rest", Math.max(0, rest)]];
  const bar = element("div", "", "parts");
  bar.setAttribute("aria-hidden", "true");
  for (const [name, , ms] of rows) {
    const part = element("div", "", `part-${name}`);
    part.style.width = `${of.total_ms ? (100 * ms) / of.total_ms : 0}%`;
    bar.append(part);
  }
  const shown = list([...rows.map(([, label, ms]) => [label, time(ms)]), ["Together", time(of.total_ms)]]);
  shown.querySelectorAll("dt").forEach((dt, i) => {
    if (i < rows.length) dt.prepend(element("span", "", `key part-${rows[i][0]}`));
  });
  const note = `The target itself took ${time(of.target_ms)}, partly while the device wrote on; at least ` +
    `${time(of.network_ms)} of the waiting were the link's.`;
  return [element("h3", "Time"), bar, shown, ...(of.calls ? [element("p", note, "note")] : [])];
}

function offTarget(of, steer) {
  const head = element("h3", "Off target");
  if (!of.known) return [head, element("p", "Nobody knows: the target has seen no token.", "note")];
  const rate = (criterion) => percent(of[`divergence_${criterion}`]);
  const rows = ["typical", "strict"].map((criterion) => {
    const budget = steer?.criterion === criterion ? `, budget ${percent(steer.budget)}` : "";
    return [`By ${criterion}${budget}`, `${of[`off_${criterion}`]}, ${rate(criterion)}`];
  });
  return [head, list(rows), element("p", `Of ${of.known} audited tokens, which are all that the target has seen.`, "note")];
}

function money(of, prompt, price) {
  if (price === null) return [];
  const read = of.calls ? prompt : 0;
  const cost = ((of.known + read) * price) / 1e6;
  const whole = ((of.tokens + prompt) * price) / 1e6;
  const asked = ((of.asked + read) * price) / 1e6;
  const note = `Counted are ${of.known} tokens of the text that the target has seen, ${of.asked} of them because it was asked, ` +
    `and ${read} of the prompt. Drafts that it read in vain are not in it.`;
  return [
    element("h3", "Money"),
    list([["This text", amount(cost)], ["Without its audits", amount(asked)], ["The same, all by the target", amount(whole)]]),
    element("p", note, "note"),
  ];
}

function each(count, tokens, digits) {
  return tokens ? (count / tokens).toFixed(digits) : "0";
}

function time(ms) {
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

function amount(value) {
  return value ? value.toPrecision(3).replace(/e-(\d+)/, " · 10^-$1") : "0";
}

function list(rows) {
  const made = document.createElement("dl");
  for (const [name, value] of rows) made.append(element("dt", name), element("dd", value));
  return made;
}

function element(kind, text, name = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}
