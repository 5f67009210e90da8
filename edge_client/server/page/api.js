// What the page asks the server: models, texts as they are written, and the link to the target.

const KEY = "tandem-key";

/** An answer that is none: `status` of HTTP, or 0 where nothing answered. */
export class Refused extends Error {
  constructor(sentence, status = 0) {
    super(sentence);
    this.status = status;
  }
}

/** Remember the server's key until this tab is closed. */
export function keep(key) {
  sessionStorage.setItem(KEY, key);
}

/** What the server can be asked for. */
export async function models() {
  const answer = await ask("/v1/models");
  return (await answer.json()).data;
}

/** How the server is, and its link to the target: "whole", "cut", or null where there is none. */
export async function health() {
  return (await ask("/health")).json();
}

/** Cut the link to the target, or let it come up again. */
export async function turnLink(isCut) {
  return (await ask("/tandem/link", { method: "POST", body: JSON.stringify({ cut: isCut }) })).json();
}

/** The chunks of a text, one by one; `signal` ends it early. */
export async function* stream(path, body, signal) {
  const answer = await ask(path, { method: "POST", body: JSON.stringify(body), signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await read(reader);
    if (done) throw new Refused("The server broke off before the end of the text.");
    const parts = (held + value).split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, "");
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Refused(chunk.error.message);
      yield chunk;
    }
  }
}

async function ask(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    throw unless(error, "The server cannot be reached. Is it still running?");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => null);
  throw new Refused(said?.error?.message ?? `The server answered with status ${answer.status}.`, answer.status);
}

async function read(reader) {
  try {
    return await reader.read();
  } catch (error) {
    throw unless(error, "The connection broke before the end of the text.");
  }
}

/** An error in a sentence, unless it is that the user stopped. */
function unless(error, sentence) {
  return error.name === "AbortError" ? error : new Refused(sentence);
}
