// Swagger UI over the document beside this page. Credentials go with calls of the document, and with nothing else.
"use strict";

(async (source) => {
  // The document is for everybody who sees the page.
  const answer = await fetch(source, { credentials: "omit" });
  if (!answer.ok) {
    document.getElementById("page").textContent = `The document could not be read: ${answer.status}`;
    return;
  }
  const spec = await answer.json();

  const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const pattern = (path) => path.split(/\{[^{}]*\}/).map(literal).join("[^/]+");
  const servers = (spec.servers ?? [{ url: "/" }]).map(({ url }) => new URL(url, location.href));
  const calls = Object.keys(spec.paths).map((path) => new RegExp(`^${pattern(path)}$`));
  const isCall = (url) =>
    servers.some((server) => {
      const prefix = server.pathname.replace(/\/$/, "");
      if (url.origin !== server.origin || !url.pathname.startsWith(prefix)) return false;
      return calls.some((call) => call.test(url.pathname.slice(prefix.length)));
    });

  SwaggerUIBundle({
    spec,
    domNode: document.getElementById("page"),
    layout: "BaseLayout",
    validatorUrl: null,
    persistAuthorization: false,
    displayRequestDuration: true,
    requestInterceptor: (request) => {
      const known = isCall(new URL(request.url, location.href));
      if (!known) request.headers = {};
      request.credentials = known ? "same-origin" : "omit";
      return request;
    },
  });
})(document.currentScript.dataset.document);
