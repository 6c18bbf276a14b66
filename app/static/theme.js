"use strict";
// Before anything is painted: what the reader chose on this machine, else what the system says.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* nothing is kept here: the system decides */ }
