// Search: first a page whose title holds what is sought, last those of the library.
const sought = new URLSearchParams(location.search).get("q")?.trim().toLowerCase();
var Scorer = {
  score: ([page, title, anchor, , score]) =>
    score +
    (sought && !anchor && title.toLowerCase().includes(sought) ? 10 : 0) -
    (/^(library|files)\//.test(page) ? 20 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
