// The switch that cuts the link to the target, for all texts of the server.

import { health, turnLink } from "/page/api.js";

const find = (id) => document.getElementById(id);

/** Show the link as it is now: another page may have cut it. */
export async function lookAtLink() {
  const said = await health().catch(() => null); // a server that is gone is told of where it is asked for a text
  if (said) show(said.link);
}

/** Cut the link, or let it come up again, as the switch stands; `refuse` is told where that fails. */
export async function turn(refuse) {
  try {
    show((await turnLink(find("cut").checked)).link);
  } catch (error) {
    refuse(error);
    await lookAtLink();
  }
}

function show(link) {
  const isCut = link === "cut";
  find("link").hidden = link === null;
  find("cut").checked = isCut;
  const told = isCut ? "The link to the target is cut." : "";
  if (find("is-cut").textContent !== told) find("is-cut").textContent = told;
}
