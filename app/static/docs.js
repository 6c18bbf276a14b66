"use strict";
window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: document.querySelector("link[rel=describedby]").getAttribute("href"),
    dom_id: "#swagger-ui",
    deepLinking: true,
    validatorUrl: null,
    presets: [window.SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
  });
});
