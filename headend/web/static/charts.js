// Draws every element with data-chart: fetches the specification it names and hands it to Vega-Lite.
// Expressions are interpreted, not compiled, so that the page needs no permission to evaluate code.
"use strict";

async function draw(place) {
  const state = document.createElement("p");
  state.className = "state";
  state.textContent = "Loading the chart…";
  place.replaceChildren(state);
  try {
    const answer = await fetch(place.dataset.chart, { headers: { Accept: "application/json" } });
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({}));
      throw new Error(problem.detail || answer.statusText);
    }
    if (answer.redirected) throw new Error("you are no longer logged in");
    const spec = await answer.json();
    if (spec.data.values.length === 0) {
      state.className = "state none";
      state.textContent = "Nothing to draw: there are no reads in this time.";
      return;
    }
    place.replaceChildren();
    await vegaEmbed(place, spec, {
      mode: "vega-lite",
      ast: true,
      actions: false,
      defaultStyle: false,
      renderer: "svg",
      tooltip: { disableDefaultStyle: true },
    });
    place.dataset.drawn = "true";
  } catch (error) {
    state.className = "state bad";
    state.textContent = `The chart could not be loaded: ${error.message}.`;
    place.replaceChildren(state);
  }
}

document.querySelectorAll("[data-chart]").forEach(draw);
