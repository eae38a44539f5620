// The search of the documentation site. tools/site.lua puts INDEX before it: [text, page, link] for each page, heading,
// and name in the first column of a table.
{
  const box = document.querySelector("[role=search]"), input = box.querySelector("input");
  const list = box.querySelector("ul"), status = box.querySelector("[role=status]");
  const root = document.currentScript.dataset.root;

  // The entries that contain all words; first those whose text begins with the query, then those whose text contains it; the
  // shorter ones first.
  function find(query) {
    const words = query.split(/\s+/);
    const rank = ([text]) => 2 - text.toLowerCase().includes(query) - text.toLowerCase().startsWith(query);
    return INDEX.filter(([text, page]) => words.every(word => `${text} ${page}`.toLowerCase().includes(word)))
      .sort((a, b) => rank(a) - rank(b) || a[0].length - b[0].length);
  }

  function item([text, page, link]) {
    const anchor = document.createElement("a"), name = document.createElement("span");
    anchor.href = root + link;
    name.textContent = page;
    anchor.append(text, " ", name);
    const element = document.createElement("li");
    element.append(anchor);
    return element;
  }

  function show() {
    const query = input.value.trim().toLowerCase(), found = query ? find(query) : [];
    list.replaceChildren(...found.slice(0, 12).map(item));
    status.textContent = query && `${found.length || "No"} ${found.length === 1 ? "result" : "results"}`;
  }

  function hide() {
    list.replaceChildren();
    status.textContent = "";
  }

  // The arrows move between the input and the results, Enter in the input opens the first result.
  box.addEventListener("keydown", event => {
    const stops = [input, ...list.querySelectorAll("a")], step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) (stops[stops.indexOf(document.activeElement) + step] || input).focus();
    else if (event.key === "Enter" && event.target === input) stops[1]?.click();
    else if (event.key === "Escape") { input.value = ""; input.focus(); hide(); }
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", event => {
    if (event.key !== "/" || event.target === input || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
  });
  for (const type of ["focusin", "pointerdown"])
    document.addEventListener(type, event => { if (!box.contains(event.target)) hide(); });
  list.addEventListener("click", hide);
  input.addEventListener("focus", show);
  input.addEventListener("input", show);
  box.hidden = false;
}
