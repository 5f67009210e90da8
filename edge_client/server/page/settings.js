// The controls: what the server has by itself, unless the user chose otherwise, which is remembered.

const KEPT = "tandem-settings";
const BUDGETS = [0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];
const NAMES = ["mode", "budget", "criterion", "temperature", "max_tokens", "seed", "price"];
const WORDS = {
  sprint: "The device writes, and asks the target where it doubts.",
  exact: "The target's own text; the device guesses ahead.",
  local: "The device alone.",
  cloud: "The target alone, token by token.",
  auto: "Sprint, exact or cloud, whichever is best here and now.",
};
const find = (id) => document.getElementById(id);

export class Settings {
  #budgets = BUDGETS;
  #kept = load();

  constructor() {
    for (const name of NAMES) find(name).addEventListener("input", () => this.#keep(name));
    find("reset").addEventListener("click", () => this.#reset());
    find("settings").addEventListener("submit", (event) => event.preventDefault());
  }

  /** Offer what the server can do; its first model is the one without a mode. */
  offer(models) {
    const [first] = models;
    this.model = first.id;
    this.own = first.tandem;
    const modes = models.slice(1).map(({ id }) => id.slice(first.id.length + 1));
    find("mode").replaceChildren(...modes.map((mode) => new Option(mode)));
    this.modes = modes;
    this.#budgets = [...new Set([...BUDGETS, this.own.budget])].sort((a, b) => a - b);
    find("budget").max = this.#budgets.length - 1;
    find("temperature").max = Math.max(2, this.own.temperature);
    this.#show();
  }

  get mode() {
    return find("mode").value;
  }

  get budget() {
    return this.#budgets[find("budget").valueAsNumber];
  }

  get criterion() {
    return find("criterion").value;
  }

  /** Money for a million tokens; null where the user has said nothing. */
  get price() {
    const price = find("price").valueAsNumber;
    return price >= 0 ? price : null;
  }

  /** Whether the budget says anything in this mode. */
  get isSteered() {
    return ["sprint", "auto"].includes(this.mode);
  }

  /** What a request says of how a text is to be written; a field that is left empty says nothing. */
  request() {
    const [most, seed] = [find("max_tokens"), find("seed")].map((field) => field.valueAsNumber);
    return {
      model: this.model,
      temperature: find("temperature").valueAsNumber,
      ...(Number.isNaN(most) ? {} : { max_tokens: most }),
      ...(Number.isNaN(seed) ? {} : { seed }),
      tandem: {
        mode: this.mode,
        events: true,
        origins: true,
        ...(this.isSteered && { budget: this.budget, criterion: this.criterion }),
      },
    };
  }

  /** The field that cannot be used as it is, or null. */
  wrong() {
    return NAMES.map(find).find((field) => !field.validity.valid) ?? null;
  }

  #show() {
    const values = { ...this.own, seed: "", price: "", ...this.#kept };
    if (!this.modes.includes(values.mode)) values.mode = this.own.mode;
    if (!this.#budgets.includes(values.budget)) values.budget = this.own.budget;
    for (const name of NAMES) find(name).value = values[name] ?? "";
    find("budget").value = this.#budgets.indexOf(values.budget);
    this.#tell();
  }

  #tell() {
    find("mode-hint").textContent = WORDS[this.mode] ?? "";
    const budget = `${Number((100 * this.budget).toPrecision(6))}\u00a0%`;
    find("budget-shown").value = budget;
    find("budget").setAttribute("aria-valuetext", budget);
    find("temperature-shown").value = find("temperature").value;
    for (const name of ["budget", "criterion"]) find(name).disabled = !this.isSteered;
  }

  #keep(name) {
    this.#kept[name] = name === "budget" ? this.budget : find(name).value;
    localStorage.setItem(KEPT, JSON.stringify(this.#kept));
    this.#tell();
  }

  #reset() {
    this.#kept = {};
    localStorage.removeItem(KEPT);
    this.#show();
  }
}

function load() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    return {};
  }
}
