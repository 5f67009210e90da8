// The page: a prompt or a turn goes to the server, and its tokens are shown as they come.

import { Refused, keep, models, stream } from "/page/api.js";
import { show } from "/page/figures.js";
import { lookAtLink, turn as turnLink } from "/page/link.js";
import { Settings } from "/page/settings.js";
import { Text } from "/page/text.js";

const KIND = "tandem-kind";
const BEGINNING = "Once upon a time";
const find = (id) => document.getElementById(id);
const settings = new Settings();
let turns = []; // of the conversation
let looked = null; // the text whose tokens are looked at
let at = -1; // which of its tokens, from 0; -1 for none yet
let running = null; // ends the text that is being written

async function start() {
  complain(null);
  lookAtLink();
  try {
    settings.offer(await models());
    find("key-form").hidden = true;
    find("model").textContent = `${settings.model} on this device` +
      (settings.modes.length > 1 ? ", with a target that is asked where it doubts" : ", alone");
  } catch (error) {
    refuse(error);
  }
  busy(false);
}

async function write() {
  if (running || !settings.model) return;
  const wrong = settings.wrong();
  if (wrong) return void wrong.reportValidity();
  const prompt = find("prompt").value;
  running = new AbortController();
  busy(true);
  complain(null);
  find("status").textContent = "Writing";
  lookAtLink();
  const text = open(prompt);
  const said = new Spoken();
  let usage = null;
  let why = "";
  const begun = performance.now();
  try {
    const body = { ...settings.request(), stream: true, stream_options: { include_usage: true } };
    const asked = isChat() ? { messages: [...turns, { role: "user", content: prompt }] } : { prompt };
    const steer = settings.isSteered ? { criterion: settings.criterion, budget: settings.budget } : null;
    if (isChat()) find("prompt").value = "";
    for await (const chunk of stream(pathOf(), { ...body, ...asked }, running.signal)) {
      usage = chunk.usage ?? usage;
      const choice = chunk.choices[0];
      if (!choice) continue;
      said.add(text.take(choice.tandem?.events ?? []));
      why = choice.finish_reason ?? why;
      live(text, begun);
      const now = choice.tandem?.so_far;
      if (now) figures(now, now.prompt_tokens, steer);
    }
    text.end(usage.tandem[0].written);
    figures(usage.tandem[0], usage.prompt_tokens, steer);
    lookAtLink();
    find("status").textContent = ended(why, usage.tandem[0]);
  } catch (error) {
    text.end();
    if (error.name === "AbortError") find("status").textContent = `Stopped after ${text.settled.length} tokens.`;
    else refuse(error);
  }
  said.end();
  close(text, prompt);
  live(text, begun);
  find("live").textContent = "";
  running = null;
  busy(false);
}

/** A place for a new text, behind its prompt. */
function open(prompt) {
  const place = element("span", "written");
  if (!isChat()) {
    find("turns").replaceChildren(turn("", element("span", "prompt", prompt), place));
  } else {
    if (!turns.length) find("turns").replaceChildren();
    find("turns").append(turn("You", element("span", "", prompt)), turn(settings.model, place));
  }
  const text = new Text(place);
  for (const kind of ["pointerover", "click"]) {
    place.addEventListener(kind, (event) => {
      const i = text.find(event.target);
      if (i >= 0) look(text, i);
    });
  }
  look(text, -1);
  return text;
}

/** The text has ended: it is part of the conversation, or nothing came of it and the turn may be tried again. */
function close(text, prompt) {
  look(text, at); // which is known of better now
  if (!isChat()) return;
  if (text.content) {
    turns.push({ role: "user", content: prompt }, { role: "assistant", content: text.content });
    return;
  }
  find("prompt").value ||= prompt;
  const answer = text.place.closest(".turn");
  answer.previousElementSibling.remove();
  answer.remove();
  if (!turns.length) clear();
}

function clear() {
  turns = [];
  look(null, -1);
  find("status").textContent = "";
  find("turns").replaceChildren(element("p", "muted", "Nothing is written yet."));
}

/** Look at a token of a text, by its number from 0; -1 for none yet. */
function look(text, i) {
  looked?.settled[at]?.shown.classList.remove("looked-at");
  [looked, at] = [text, i];
  reach();
  const about = i < 0 ? "Move this, or point at a token, to see who decided on it." : text.describe(i);
  if (i >= 0) {
    text.settled[i].shown.classList.add("looked-at");
    find("place").value = i + 1;
  }
  find("place").setAttribute("aria-valuetext", about);
  find("about").textContent = about;
}

/** Every settled token can be looked at. */
function reach() {
  const count = looked?.settled.length ?? 0;
  find("look").hidden = !count;
  find("place").max = Math.max(1, count);
}

function live(text, begun) {
  const seconds = (performance.now() - begun) / 1000;
  const count = text.settled.length;
  if (looked === text) reach();
  find("live").textContent = `${count} tokens, ${(count / seconds).toFixed(1)} a second`;
  for (const [origin, tokens] of Object.entries(text.counts())) {
    document.querySelector(`.count[data-origin=${origin}]`).textContent = tokens;
  }
}

function figures(of, prompt, steer) {
  const again = () => show(find("figures"), of, prompt, steer, settings.price);
  find("no-figures").hidden = true;
  again();
  find("price").oninput = again;
}

function ended(why, of) {
  const reason = { stop: "The text has ended", length: "As many tokens as were asked for" }[why] ?? `Ended (${why})`;
  return `${reason}: ${of.tokens} tokens, ${of.calls} calls to the target.`;
}

/** What a screen reader says: settled text only, a sentence at a time. */
class Spoken {
  #held = "";

  add(text) {
    this.#held += text;
    const end = Math.max(...[". ", "! ", "? ", "\n"].map((sign) => this.#held.lastIndexOf(sign)));
    if (end < 0) return;
    find("spoken").textContent = this.#held.slice(0, end + 1);
    this.#held = this.#held.slice(end + 1);
  }

  end() {
    find("spoken").textContent = this.#held;
  }
}

function refuse(error) {
  if (!(error instanceof Refused)) console.error(error);
  if (error.status === 401) {
    find("key-form").hidden = false;
    find("key").focus();
  }
  find("status").textContent = "";
  complain(error instanceof Refused ? error.message : `The page failed: ${error.message}.`);
}

function complain(sentence) {
  find("error").hidden = !sentence;
  find("error").textContent = sentence ?? "";
}

function busy(isBusy) {
  const [next, last] = isBusy ? [find("stop"), find("go")] : [find("go"), find("stop")];
  next.disabled = !settings.model;
  if (document.activeElement === last) next.focus(); // for what is disabled cannot keep it
  last.disabled = true;
  find("anew").disabled = isBusy;
  for (const radio of document.getElementsByName("kind")) radio.disabled = isBusy;
}

function isChat() {
  return find("ask").elements.kind.value === "chat";
}

function pathOf() {
  return isChat() ? "/v1/chat/completions" : "/v1/completions";
}

/** What the form is about: a text that goes on, or a turn of a conversation. */
function choose() {
  find("prompt-label").textContent = isChat() ? "Your turn" : "Beginning of the text";
  find("go").textContent = isChat() ? "Send" : "Write";
  find("anew").hidden = !isChat();
  if ([BEGINNING, ""].includes(find("prompt").value)) find("prompt").value = isChat() ? "" : BEGINNING;
  localStorage.setItem(KIND, isChat() ? "chat" : "completion");
  clear();
}

function turn(who, ...parts) {
  const made = element("article", "turn");
  if (who) made.append(element("h3", "", who));
  const said = element("div", "said");
  said.append(...parts);
  made.append(said);
  return made;
}

function element(kind, name, text = "") {
  const made = document.createElement(kind);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}

find("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  write();
});
find("ask").addEventListener("change", (event) => event.target.name === "kind" && choose());
find("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) find("ask").requestSubmit();
});
document.addEventListener("keydown", (event) => event.key === "Escape" && running?.abort());
find("stop").addEventListener("click", () => running?.abort());
find("anew").addEventListener("click", () => {
  clear();
  find("prompt").focus();
});
find("cut").addEventListener("change", () => turnLink(refuse));
window.addEventListener("focus", lookAtLink);
find("place").addEventListener("input", () => look(looked, find("place").valueAsNumber - 1));
find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keep(find("key").value.trim());
  start();
});
if (localStorage.getItem(KIND) === "chat") {
  find("ask").elements.kind.value = "chat";
  choose();
}
start();
