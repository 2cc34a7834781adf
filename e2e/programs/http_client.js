// Asks with Node's http and fetch, and prints everything that came back: HOST PORT [all].
// `all` asks for what only Node's server has: trailers, hints, `Expect`, upgrades, tunnels.
"use strict";
const { createHash } = require("crypto");
const { once } = require("events");
const http = require("http");

const [host, port, all] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const BODY = Buffer.from("sent by Node ".repeat(10000));

const shown = (raw) => raw.map((text, at) => text + (at % 2 ? "\r\n" : ": ")).join("");

function show(answer, body) {
  console.log(answer.httpVersion, answer.statusCode, answer.statusMessage);
  console.log(shown(answer.rawHeaders) + shown(answer.rawTrailers));
  console.log(body.length, createHash("sha256").update(body).digest("hex"));
}

async function ask(method, path, { headers = {}, pieces = [], waits = false } = {}) {
  const request = http.request({ host, port, method, path, agent, headers });
  request.on("information", (hint) => console.log("information", hint.statusCode, hint.rawHeaders));
  const answered = new Promise((resolve, reject) => {
    request.on("response", resolve);
    request.on("error", reject);
  });
  if (waits) {
    request.flushHeaders();
    await Promise.race([once(request, "continue"), answered]);
  }
  for (const piece of pieces) request.write(piece);
  request.end();
  try {
    const answer = await answered;
    const got = [];
    for await (const piece of answer) got.push(piece);
    show(answer, Buffer.concat(got));
  } catch (error) {
    console.log("failed:", error.code);
  }
}

async function byAgent() {
  await ask("GET", "/text", { headers: { "X-Order": "2", "x-lower": "1" } });
  await ask("HEAD", "/text");
  await ask("POST", "/echo", { headers: { "Content-Length": BODY.length }, pieces: [BODY] });
  await ask("PUT", "/echo", { pieces: ["some ", "pieces ", BODY] });
  await ask("GET", "/chunked");
  await ask("DELETE", "/nothing");
  await ask("GET", "/missing");
  await ask("GET", "/cookies");
  await ask("GET", "/close");
  await ask("GET", "/text");
}

async function byFetch() {
  const url = `http://${host}:${port}`;
  for (const path of ["/text", "/missing"]) {
    const answer = await fetch(url + path);
    console.log(answer.status, await answer.text());
  }
  const answer = await fetch(url + "/echo", { method: "POST", body: "by fetch" });
  console.log(answer.status, await answer.text());
}

async function special() {
  await ask("GET", "/trailers");
  await ask("GET", "/hints");
  const headers = { Expect: "100-continue", "Content-Length": BODY.length };
  await ask("POST", "/echo", { headers, pieces: [BODY], waits: true });
  await ask("POST", "/refused", { headers: { Expect: "100-continue", "Content-Length": 0 }, waits: true });
  await ask("GET", "/cut");
  await ask("GET", "/unanswered");
  const trailing = http.request({ host, port, method: "POST", path: "/sum", agent });
  trailing.setHeader("Trailer", "X-Of-Client");
  trailing.write("body");
  trailing.addTrailers({ "X-Of-Client": "1" });
  trailing.end();
  const [answer] = await once(trailing, "response");
  for await (const piece of answer) console.log(piece.toString());
}

async function switched(event, method, path, headers) {
  const request = http.request({ host, port, method, path, headers });
  request.end();
  const [answer, socket, head] = await once(request, event);
  console.log(event, answer.statusCode, shown(answer.rawHeaders), head.toString());
  for (const word of ["hello", "GET / HTTP/1.1\r\n\r\n", "x".repeat(1000)]) {
    let got = "";
    socket.write(word);
    while (got.length < word.length) got += (await once(socket, "data"))[0];
    console.log(got);
  }
  socket.end();
  await once(socket, "close");
}

async function main() {
  await byAgent();
  await byFetch();
  if (all === "special") await special();
  if (all === "switched") {
    await switched("upgrade", "GET", "/up", { Connection: "Upgrade", Upgrade: "shout" });
    await switched("connect", "CONNECT", "elsewhere:443", {});
  }
  agent.destroy();
}

main();
