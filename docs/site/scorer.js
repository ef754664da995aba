// Search: pages of the course before those of the library.
var Scorer = {
  score: ([page, , , , score]) => score - (/^(library|files)\//.test(page) ? 20 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
