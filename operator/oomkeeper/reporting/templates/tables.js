// Tables with class "sortable": a button in each heading sorts, a field searches, and long tables show their
// first rows. Without scripts every row is there, in the order of the report.
"use strict";
document.documentElement.classList.add("scripted");
document.addEventListener("DOMContentLoaded", () => {
  const FIRST_ROWS = 20;
  const LEAST_ROWS_TO_SEARCH = 6;

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  // A count or a size ("1,204", "37.4 MiB") sorts as a number; "data-order" is what to sort by instead of the
  // text.
  const keyOf = (cell) => {
    const given = cell.dataset.order ?? cell.textContent.trim();
    const size = /^(-?[\d.,]+)(?: ([KMGT]i)?B)?$/.exec(given);
    if (!size) return given.toLowerCase();
    return Number(size[1].replaceAll(",", "")) * 1024 ** (size[2] ? "KMGT".indexOf(size[2][0]) + 1 : 0);
  };
  const compare = (one, other) => {
    if (typeof one === typeof other) return one < other ? -1 : one > other ? 1 : 0;
    return typeof one === "number" ? -1 : 1;
  };

  function enhance(table, number) {
    const body = table.tBodies[0];
    if (!body || body.rows.length < 2) { table.classList.add("short"); return; }
    let rows = Array.from(body.rows);
    let found = rows;
    let shown = FIRST_ROWS;
    const title = table.caption ? table.caption.textContent.trim() : table.getAttribute("aria-label") || "table";

    const status = element("p", "", { class: "rows-shown", role: "status" });
    const more = element("button", "", { type: "button", class: "more" });
    const show = () => {
      for (const row of rows) row.hidden = true;
      found.forEach((row, place) => { row.hidden = place >= shown; });
      const visible = Math.min(shown, found.length);
      status.textContent = visible === rows.length ? "" :
        `${visible.toLocaleString("en")} of ${found.length.toLocaleString("en")} rows shown` +
        (found.length < rows.length ? `, ${rows.length.toLocaleString("en")} in all` : "");
      const hidden = found.length - visible;
      more.hidden = hidden <= 0;
      more.textContent = `Show ${Math.min(hidden, 500).toLocaleString("en")} more rows`;
    };
    more.addEventListener("click", () => { shown += 500; show(); });

    const headings = Array.from(table.tHead.rows[0].cells);
    headings.forEach((heading, column) => {
      const button = element("button", heading.textContent, { type: "button", class: "sort" });
      heading.textContent = "";
      heading.append(button);
      button.addEventListener("click", () => {
        // Figures are read from the largest on.
        const first = heading.classList.contains("num") ? "descending" : "ascending";
        const second = first === "ascending" ? "descending" : "ascending";
        const order = heading.getAttribute("aria-sort") === first ? second : first;
        for (const other of headings) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const keyed = rows.map((row) => [keyOf(row.cells[column]), row]);
        keyed.sort((one, other) => sign * compare(one[0], other[0]));
        rows = keyed.map(([, row]) => row);
        const wanted = new Set(found);
        found = rows.filter((row) => wanted.has(row));
        body.append(...rows);
        show();
      });
    });

    const tools = element("div", "", { class: "tools" });
    if (rows.length >= LEAST_ROWS_TO_SEARCH) {
      const id = `search-${number}`;
      const field = element("input", "", { type: "search", id, autocomplete: "off", spellcheck: "false" });
      const texts = new Map();
      field.addEventListener("input", () => {
        if (!texts.size) for (const row of rows) texts.set(row, row.textContent.toLowerCase());
        const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
        found = words.length ? rows.filter((row) => words.every((word) => texts.get(row).includes(word))) : rows;
        shown = FIRST_ROWS;
        show();
      });
      tools.append(element("label", `Search ${title.toLowerCase()}`, { for: id }), field);
    }
    table.before(tools);
    table.after(status, more);
    table.classList.add("ready");
    show();
  }

  document.querySelectorAll("table.sortable").forEach(enhance);
});
