const root = document.documentElement;

// Light and dark.
const dark = matchMedia("(prefers-color-scheme: dark)");
const shownTheme = () => root.dataset.theme ?? (dark.matches ? "dark" : "light");
const tellFrames = () => {
  for (const frame of document.querySelectorAll("iframe.description")) {
    const inner = frame.contentDocument?.documentElement;
    if (inner) inner.dataset.theme = shownTheme();
  }
};
for (const toggle of document.querySelectorAll("[data-theme-toggle]")) {
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    root.dataset.theme = shownTheme() === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* for this page only */ }
    tellFrames();
  });
}
dark.addEventListener("change", tellFrames);

// Descriptions stand in a frame without scripts, as tall as what is in it.
for (const frame of document.querySelectorAll("iframe.description")) {
  const fit = () => {
    const inner = frame.contentDocument?.documentElement;
    if (!inner) return;
    tellFrames();
    const grow = () => { frame.style.height = `${Math.ceil(inner.getBoundingClientRect().height) + 2}px`; };
    grow();
    new ResizeObserver(grow).observe(inner);
  };
  frame.addEventListener("load", fit);
  if (frame.contentDocument?.readyState === "complete") fit();
}

// Copying.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = label; }, 1500);
  });
}

// Times, in the reader's zone.
const exact = new Intl.DateTimeFormat(root.lang, { dateStyle: "long", timeStyle: "long" });
for (const time of document.querySelectorAll("time[datetime]")) {
  time.title = exact.format(new Date(time.dateTime));
}

// "/" goes to the search.
addEventListener("keydown", (event) => {
  const busy = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key !== "/" || busy || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = document.querySelector('input[type="search"]');
  if (field) { event.preventDefault(); field.focus(); field.select(); }
});

// Suggestions while somebody types: the search page, as JSON.
for (const field of document.querySelectorAll("[data-suggest]")) {
  const list = document.createElement("datalist");
  list.id = `suggestions-${field.name}`;
  field.after(list);
  field.setAttribute("list", list.id);
  let waiting;
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    if (field.value.trim().length < 2) return;
    waiting = setTimeout(async () => {
      const asked = `${field.dataset.suggest}?q=${encodeURIComponent(field.value)}`;
      const answer = await fetch(asked, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      const found = (await answer.json()).projects.slice(0, 8);
      list.replaceChildren(...found.map((one) => new Option(one.summary, one.display_name)));
    }, 200);
  });
}

// The token of the examples: it stays in this page.
const token = document.querySelector("[data-token]");
if (token) {
  const blocks = [...document.querySelectorAll(".command")].map((command) => ({
    code: command.querySelector("code"),
    button: command.querySelector("[data-copy]"),
    text: command.querySelector("code").textContent,
  }));
  token.addEventListener("input", () => {
    const value = token.value.trim() || "pypi-TOKEN";
    for (const { code, button, text } of blocks) {
      const filled = text.replaceAll("pypi-TOKEN", value);
      code.textContent = filled;
      if (button) button.dataset.copy = filled;
    }
  });
}

// Uploading: several files, one after another, each with its progress and the server's own words.
for (const form of document.querySelectorAll("[data-upload]")) {
  const list = document.querySelector("[data-uploads]");
  const field = form.querySelector('input[type="file"]');
  field.multiple = true;
  const send = (file, line, progress, word) => new Promise((done) => {
    const say = (text, failed) => {
      word.textContent = text;
      word.classList.toggle("failed", failed);
      progress.hidden = true;
      done();
    };
    const body = new FormData();
    body.append("csrf", form.elements.csrf.value);
    body.append("content", file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => {
      progress.max = event.total;
      progress.value = event.loaded;
      if (event.loaded === event.total) word.textContent = form.dataset.sent;
    });
    request.addEventListener("error", () => say(form.dataset.lost, true));
    request.addEventListener("load", () => {
      let told;
      try { told = JSON.parse(request.responseText); } catch { return say(form.dataset.out, true); }
      if (request.status !== 200) return say(told.message, true);
      const link = document.createElement("a");
      link.href = told.url;
      link.textContent = file.name;
      line.firstChild.replaceChildren(link);
      const aside = told.passed_over ? ` · ${form.dataset.aside}` : "";
      return say(`${told.new ? form.dataset.new : form.dataset.known} · sha256 ${told.sha256}${aside}`, false);
    });
    request.send(body);
  });
  const take = async (files) => {
    const waiting = [...files].map((file) => {
      const line = document.createElement("li");
      const name = document.createElement("div");
      const word = document.createElement("div");
      const progress = document.createElement("progress");
      name.textContent = file.name;
      progress.max = 1;
      progress.value = 0;
      progress.setAttribute("aria-label", file.name);
      line.append(name, progress, word);
      list.append(line);
      return [file, line, progress, word];
    });
    for (const one of waiting) await send(...one);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = [...field.files];
    form.reset();
    take(chosen);
  });
  form.addEventListener("dragover", (event) => { event.preventDefault(); form.classList.add("over"); });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    take(event.dataTransfer.files);
  });
}

// A reindex under way: how far it has come.
for (const shown of document.querySelectorAll("[data-reindex]")) {
  const source = new EventSource(shown.dataset.reindex);
  source.addEventListener("progress", (event) => {
    const progress = JSON.parse(event.data);
    for (const name of ["state", "projects", "files", "repaired"]) {
      shown.querySelector(`[data-${name}]`).textContent = progress[name];
    }
    if (!progress.running) source.close();
  });
}

// A check: what it finds, while it looks.
for (const form of document.querySelectorAll("[data-check]")) {
  const shown = document.querySelector("[data-checked]");
  const word = shown.querySelector("[data-state]");
  const told = {
    progress: (progress) => {
      for (const name of ["projects", "files", "findings"]) {
        shown.querySelector(`[data-${name}]`).textContent = progress[name];
      }
      if (!progress.running) word.textContent = progress.findings ? "" : form.dataset.agree;
    },
    broken: ({ message }) => { word.textContent = message; },
    finding: ({ finding }) => {
      const line = document.createElement("li");
      line.textContent = finding;
      shown.querySelector("[data-found]").append(line);
    },
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form));
    const button = form.querySelector("button");
    button.disabled = true;
    shown.hidden = false;
    shown.querySelector("[data-found]").replaceChildren();
    word.textContent = "…";
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/event-stream" } });
    if (!answer.ok) word.textContent = (await answer.json()).message;
    else {
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const events = (rest + part.value).split("\n\n");
        rest = events.pop();
        for (const lines of events) {
          const [, kind, data] = lines.match(/^event: (\w+)\ndata: (.*)$/s);
          told[kind](JSON.parse(data));
        }
      }
    }
    button.disabled = false;
  });
}
