// The same as jaeger_hop.py, with Jaeger's client for Node.
"use strict";
const http = require("http");
const { initTracer } = require("jaeger-client");
const { FORMAT_HTTP_HEADERS } = require("opentracing");

const PRIORITY = { debug: 1, unsampled: 0 };
const [port, agentHost, agentPort] = process.argv.slice(2);
const tracer = initTracer(
  {
    serviceName: "node-app",
    sampler: { type: "const", param: 1 },
    reporter: { agentHost, agentPort: Number(agentPort), flushIntervalMs: 50 },
  },
  {}
);

function ask(parent, others, done) {
  const span = tracer.startSpan("ask", { childOf: parent });
  const headers = {};
  tracer.inject(span, FORMAT_HTTP_HEADERS, headers);
  const [host, port] = others[0].split(":");
  const path = "/hop/" + others.slice(1).join("/");
  http.get({ host, port, path, headers, agent: false }, (answer) => {
    answer.resume();
    answer.on("end", () => {
      span.finish();
      done();
    });
  });
}

http
  .createServer((request, response) => {
    const [verb, ...others] = request.url.split("/").filter(Boolean);
    const given = verb === "hop" ? tracer.extract(FORMAT_HTTP_HEADERS, request.headers) : null;
    const span = tracer.startSpan("serve", given ? { childOf: given } : {});
    if (verb in PRIORITY) span.setTag("sampling.priority", PRIORITY[verb]);
    const done = () => {
      span.finish();
      response.end();
    };
    others.length ? ask(span, others, done) : done();
  })
  .listen(Number(port), "0.0.0.0");
