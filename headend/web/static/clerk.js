// What clerks' pages do by themselves: look again while a cycle is worked on, say that something takes its
// time, and tick all rows of a page.
"use strict";

async function lookAgain(place) {
  try {
    const answer = await fetch(place.dataset.refresh);
    if (answer.redirected || !answer.ok) return location.reload();
    place.innerHTML = await answer.text();
    if (!place.querySelector("[data-running]")) return location.reload();
  } catch {
    // The server is away for a moment: what stands here is what was known last.
  }
  setTimeout(lookAgain, 1000, place);
}

document.querySelectorAll("[data-refresh]").forEach((place) => setTimeout(lookAgain, 1000, place));

document.querySelectorAll("form[data-busy]").forEach((form) => {
  form.addEventListener("submit", () => {
    const busy = document.createElement("p");
    busy.className = "notice";
    busy.setAttribute("role", "status");
    busy.textContent = form.dataset.busy;
    form.after(busy);
    form.querySelectorAll("button").forEach((button) => (button.disabled = true));
  });
});

document.querySelectorAll("[data-ticks-all]").forEach((all) => {
  const each = () => [...all.form.elements.which instanceof RadioNodeList ? all.form.elements.which : [all.form.elements.which]];
  all.closest("label").hidden = false;
  all.addEventListener("change", () => each().forEach((one) => (one.checked = all.checked)));
  all.form.addEventListener("change", () => {
    const ticked = each().filter((one) => one.checked).length;
    all.checked = ticked === each().length;
    all.indeterminate = ticked > 0 && !all.checked;
  });
});
